-- What a meter measured: meter.readings.v1. Energies in Wh, times in UTC; the other units are in the names.
create table readings (
    meter text not null,
    channel smallint not null,
    time timestamptz not null,
    clock text not null,
    received timestamptz not null,
    stream text not null,
    seq bigint not null,
    voltage_v double precision not null,
    current_a double precision not null,
    active_power_w double precision not null,
    frequency_hz double precision not null,
    power_factor double precision not null,
    non_active_power_var double precision not null,
    import_wh double precision not null,
    import_integrated_wh double precision not null,
    export_wh double precision not null,
    export_integrated_wh double precision not null,
    voltage_sd_v double precision not null,
    current_sd_a double precision not null,
    active_power_sd_w double precision not null,
    frequency_sd_hz double precision not null,
    nis double precision not null,
    flags text[] not null,
    raw_voltage_v double precision not null,
    raw_current_a double precision not null,
    raw_active_power_w double precision not null,
    raw_frequency_hz double precision not null,
    raw_power_factor double precision not null,
    primary key (meter, channel, time)
);
-- For all meters at a time: rows come about in the order of time, so a few pages of summary do.
create index readings_time on readings using brin (time);

-- What a channel registered in an interval: the latest revision of meter.intervals.v1.
create table intervals (
    meter text not null,
    channel smallint not null,
    length text not null,
    start timestamptz not null,
    "end" timestamptz not null,
    revision bigint not null,
    quality text not null,
    checks text[] not null,
    import_wh double precision not null,
    export_wh double precision not null,
    import_register_wh double precision,
    export_register_wh double precision,
    tariff_import_wh double precision[] not null,
    readings bigint not null,
    covered_ms bigint not null,
    voltage_mean_v double precision,
    voltage_min_v double precision,
    voltage_max_v double precision,
    current_mean_a double precision,
    current_min_a double precision,
    current_max_a double precision,
    active_power_mean_w double precision,
    active_power_min_w double precision,
    active_power_max_w double precision,
    power_factor_mean double precision,
    power_factor_min double precision,
    power_factor_max double precision,
    frequency_mean_hz double precision,
    frequency_min_hz double precision,
    frequency_max_hz double precision,
    block_demand_max_w double precision,
    block_demand_max timestamptz,
    sliding_demand_max_w double precision,
    sliding_demand_max timestamptz,
    primary key (meter, channel, length, start)
);
-- For all meters of a time: the quarter hours of a feeder.
create index intervals_start on intervals (length, start);

-- How far each partition is taken, in the transaction of its rows: that makes it exactly once.
create table kafka_offsets (
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    primary key (topic, partition)
);
