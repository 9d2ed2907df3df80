-- The life of alerts: the latest record of each in alerts.v1. Times in UTC.
create table alerts (
    alert text primary key,
    rule text not null,
    severity text not null,
    feeder text not null,
    pole text,
    meter text,
    state text not null,
    at timestamptz not null,
    shelved_until timestamptz,
    who text,
    note text,
    action text,
    since timestamptz not null,
    detected timestamptz not null,
    delay_ms bigint not null,
    statistic double precision not null,
    threshold double precision not null,
    unit text not null,
    false_alarms_per_feeder_year_max double precision,
    cause text,
    missing_current_a double precision,
    -- An array of {"time_ms", "value"}.
    evidence jsonb not null
);
create index alerts_at on alerts (at);

-- What hangs where: grid.topology.v1 as it is now, a row a house.
create table houses (
    feeder text not null,
    meter text not null,
    line_meter text not null,
    line_class double precision not null,
    pole text not null,
    -- From the transformer on, from 1.
    pole_number integer not null,
    class double precision not null,
    line_side text,
    loop_ohm double precision,
    contract_power_w double precision,
    phase text,
    primary key (feeder, meter)
);
create index houses_meter on houses (meter);
