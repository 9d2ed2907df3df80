-- The Kafka topics of Ferraris as tables of Flink SQL, generated from the contracts: docs/flink.md says how to use them.
-- For another Kafka, or topics with a prefix: ALTER TABLE ... SET ('properties.bootstrap.servers' = '...', 'topic' = '...').

-- Each accepted reading, once: estimates with standard deviations, raw measurements, energy registers.
CREATE TABLE `meter_readings_v1` (
  `meter` STRING NOT NULL,
  `channel` SMALLINT NOT NULL,
  `time_ms` BIGINT NOT NULL,
  `clock` STRING NOT NULL,
  `received_ms` BIGINT NOT NULL,
  `stream` STRING NOT NULL,
  `seq` BIGINT NOT NULL,
  `voltage_v` DOUBLE NOT NULL,
  `current_a` DOUBLE NOT NULL,
  `active_power_w` DOUBLE NOT NULL,
  `frequency_hz` DOUBLE NOT NULL,
  `power_factor` DOUBLE NOT NULL,
  `non_active_power_var` DOUBLE NOT NULL,
  `import_wh` DOUBLE NOT NULL,
  `import_integrated_wh` DOUBLE NOT NULL,
  `export_wh` DOUBLE NOT NULL,
  `export_integrated_wh` DOUBLE NOT NULL,
  `voltage_sd_v` DOUBLE NOT NULL,
  `current_sd_a` DOUBLE NOT NULL,
  `active_power_sd_w` DOUBLE NOT NULL,
  `frequency_sd_hz` DOUBLE NOT NULL,
  `nis` DOUBLE NOT NULL,
  `flags` ARRAY<STRING> NOT NULL,
  `raw_voltage_v` DOUBLE NOT NULL,
  `raw_current_a` DOUBLE NOT NULL,
  `raw_active_power_w` DOUBLE NOT NULL,
  `raw_frequency_hz` DOUBLE NOT NULL,
  `raw_power_factor` DOUBLE NOT NULL,
  `account` STRING,
  `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `event_time` AS TO_TIMESTAMP_LTZ(`time_ms`, 3),
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '2' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = 'meter.readings.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

-- What meters have to say besides readings, outcomes of commands included, and power quality and silence derived of these.
CREATE TABLE `meter_events_v1` (
  `record` STRING NOT NULL,
  `meter` STRING NOT NULL,
  `channel` SMALLINT,
  `time_ms` BIGINT,
  `clock` STRING,
  `received_ms` BIGINT,
  `stream` STRING,
  `seq` BIGINT,
  `kind` STRING,
  `value` BIGINT,
  `account` STRING,
  `from_ms` BIGINT,
  `to_ms` BIGINT,
  `count` BIGINT,
  `reason` STRING,
  `device` STRING,
  `software` STRING,
  `configuration` STRING,
  `starts` BIGINT,
  `number` BIGINT,
  `action` STRING,
  `verdict` STRING,
  `method` STRING,
  `start_ms` BIGINT,
  `cut` BOOLEAN,
  `threshold` DOUBLE,
  `hysteresis` DOUBLE,
  `extreme` DOUBLE,
  `mean` DOUBLE,
  `unit` STRING,
  `samples` BIGINT,
  `at_ms` BIGINT,
  `duration_ms` BIGINT,
  `end_ms` BIGINT,
  `nominal_v` DOUBLE,
  `means` BIGINT,
  `within` BIGINT,
  `far_out` BIGINT,
  `lowest_v` DOUBLE,
  `highest_v` DOUBLE,
  `complies` BOOLEAN,
  `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `event_time` AS TO_TIMESTAMP_LTZ(COALESCE(`received_ms`, `at_ms`), 3),
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '1' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = 'meter.events.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

-- What each channel registered in each interval: differences of registers, means, demand, quality, revision.
CREATE TABLE `meter_intervals_v1` (
  `meter` STRING NOT NULL,
  `channel` SMALLINT NOT NULL,
  `length` STRING NOT NULL,
  `start_ms` BIGINT NOT NULL,
  `end_ms` BIGINT NOT NULL,
  `revision` BIGINT NOT NULL,
  `quality` STRING NOT NULL,
  `checks` ARRAY<STRING> NOT NULL,
  `import_wh` DOUBLE NOT NULL,
  `export_wh` DOUBLE NOT NULL,
  `tariff_import_wh` ARRAY<DOUBLE> NOT NULL,
  `readings` BIGINT NOT NULL,
  `covered_ms` BIGINT NOT NULL,
  `account` STRING,
  `active_power_max_w` DOUBLE,
  `active_power_mean_w` DOUBLE,
  `active_power_min_w` DOUBLE,
  `block_demand_max_ms` BIGINT,
  `block_demand_max_w` DOUBLE,
  `current_max_a` DOUBLE,
  `current_mean_a` DOUBLE,
  `current_min_a` DOUBLE,
  `export_register_wh` DOUBLE,
  `frequency_max_hz` DOUBLE,
  `frequency_mean_hz` DOUBLE,
  `frequency_min_hz` DOUBLE,
  `import_register_wh` DOUBLE,
  `power_factor_max` DOUBLE,
  `power_factor_mean` DOUBLE,
  `power_factor_min` DOUBLE,
  `sliding_demand_max_ms` BIGINT,
  `sliding_demand_max_w` DOUBLE,
  `voltage_max_v` DOUBLE,
  `voltage_mean_v` DOUBLE,
  `voltage_min_v` DOUBLE,
  `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `event_time` AS TO_TIMESTAMP_LTZ(`end_ms`, 3),
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '10' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = 'meter.intervals.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

-- Quarter hours of all meters of a feeder: meter.intervals.v1 keyed by feeder. Internal.
CREATE TABLE `feeder_intervals_v1` (
  `feeder` STRING NOT NULL,
  `meter` STRING NOT NULL,
  `channel` SMALLINT NOT NULL,
  `length` STRING NOT NULL,
  `start_ms` BIGINT NOT NULL,
  `end_ms` BIGINT NOT NULL,
  `revision` BIGINT NOT NULL,
  `quality` STRING NOT NULL,
  `checks` ARRAY<STRING> NOT NULL,
  `import_wh` DOUBLE NOT NULL,
  `export_wh` DOUBLE NOT NULL,
  `tariff_import_wh` ARRAY<DOUBLE> NOT NULL,
  `readings` BIGINT NOT NULL,
  `covered_ms` BIGINT NOT NULL,
  `account` STRING,
  `active_power_max_w` DOUBLE,
  `active_power_mean_w` DOUBLE,
  `active_power_min_w` DOUBLE,
  `block_demand_max_ms` BIGINT,
  `block_demand_max_w` DOUBLE,
  `current_max_a` DOUBLE,
  `current_mean_a` DOUBLE,
  `current_min_a` DOUBLE,
  `export_register_wh` DOUBLE,
  `frequency_max_hz` DOUBLE,
  `frequency_mean_hz` DOUBLE,
  `frequency_min_hz` DOUBLE,
  `import_register_wh` DOUBLE,
  `power_factor_max` DOUBLE,
  `power_factor_mean` DOUBLE,
  `power_factor_min` DOUBLE,
  `sliding_demand_max_ms` BIGINT,
  `sliding_demand_max_w` DOUBLE,
  `voltage_max_v` DOUBLE,
  `voltage_mean_v` DOUBLE,
  `voltage_min_v` DOUBLE,
  `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `event_time` AS TO_TIMESTAMP_LTZ(`end_ms`, 3),
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '10' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = 'feeder.intervals.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

-- Silence, interruptions and signs of tampering at all meters of a feeder. Internal.
CREATE TABLE `feeder_events_v1` (
  `feeder` STRING NOT NULL,
  `meter` STRING NOT NULL,
  `kind` STRING NOT NULL,
  `since_ms` BIGINT NOT NULL,
  `at_ms` BIGINT NOT NULL,
  `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `event_time` AS TO_TIMESTAMP_LTZ(`at_ms`, 3),
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '1' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = 'feeder.events.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

-- What the analytics have learned of each feeder, up to an offset: what a successor goes on from. Internal.
CREATE TABLE `feeder_state_v1` (
  `record_key` STRING NOT NULL,
  `feeder` STRING NOT NULL,
  `next_offset` BIGINT NOT NULL,
  `state` STRING NOT NULL,
  PRIMARY KEY (`record_key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'feeder.state.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'key.format' = 'raw',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- What is known of each meter's power quality, up to an offset: what a successor goes on from. Internal.
CREATE TABLE `meter_state_v1` (
  `record_key` STRING NOT NULL,
  `meter` STRING NOT NULL,
  `next_offset` BIGINT NOT NULL,
  `state` STRING NOT NULL,
  PRIMARY KEY (`record_key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'meter.state.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'key.format' = 'raw',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- What each meter's channels registered by the time of the day, a few days of each kind: what long gaps are estimated by. Internal.
CREATE TABLE `meter_profiles_v1` (
  `record_key` STRING NOT NULL,
  `meter` STRING NOT NULL,
  `next_offset` BIGINT NOT NULL,
  `state` STRING NOT NULL,
  PRIMARY KEY (`record_key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'meter.profiles.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'key.format' = 'raw',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- The life of alerts: raised, acknowledged, shelved, cleared; evidence. Only the analytics write it.
CREATE TABLE `alerts_v1` (
  `record_key` STRING NOT NULL,
  `alert` STRING NOT NULL,
  `rule` STRING NOT NULL,
  `severity` STRING NOT NULL,
  `feeder` STRING NOT NULL,
  `state` STRING NOT NULL,
  `at_ms` BIGINT NOT NULL,
  `since_ms` BIGINT NOT NULL,
  `detected_ms` BIGINT NOT NULL,
  `delay_ms` BIGINT NOT NULL,
  `statistic` DOUBLE NOT NULL,
  `threshold` DOUBLE NOT NULL,
  `unit` STRING NOT NULL,
  `evidence` ARRAY<ROW<`time_ms` BIGINT, `value` DOUBLE>> NOT NULL,
  `action` STRING,
  `cause` STRING,
  `false_alarms_per_feeder_year_max` DOUBLE,
  `meter` STRING,
  `missing_current_a` DOUBLE,
  `note` STRING,
  `pole` STRING,
  `shelved_until_ms` BIGINT,
  `who` STRING,
  PRIMARY KEY (`record_key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'alerts.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'key.format' = 'raw',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- What people do to alerts: acknowledge, shelve, clear.
CREATE TABLE `alerts_actions_v1` (
  `action` STRING NOT NULL,
  `alert` STRING NOT NULL,
  `feeder` STRING NOT NULL,
  `kind` STRING NOT NULL,
  `who` STRING NOT NULL,
  `note` STRING,
  `until_ms` BIGINT,
  `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = 'alerts.actions.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

-- Feeders with their poles, line-side meters and houses.
CREATE TABLE `grid_topology_v1` (
  `record_key` STRING NOT NULL,
  `id` STRING NOT NULL,
  `line_meter` STRING NOT NULL,
  `poles` ARRAY<STRING> NOT NULL,
  `houses` ARRAY<ROW<`meter` STRING, `pole` STRING, `class` DOUBLE, `contract_power_w` DOUBLE, `line_side` STRING, `loop_ohm` DOUBLE, `phase` STRING>> NOT NULL,
  `line_class` DOUBLE,
  PRIMARY KEY (`record_key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'grid.topology.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'key.format' = 'raw',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- Signed commands on their way to meters; what became of each is in meter.events.v1.
CREATE TABLE `meter_commands_v1` (
  `meter` STRING NOT NULL,
  `number` BIGINT NOT NULL,
  `action` STRING NOT NULL,
  `issued_ms` BIGINT NOT NULL,
  `expires_ms` BIGINT NOT NULL,
  `authority` STRING NOT NULL,
  `command` STRING NOT NULL,
  `account` STRING,
  `channel` SMALLINT,
  `who` STRING,
  `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `event_time` AS TO_TIMESTAMP_LTZ(`issued_ms`, 3),
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '1' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = 'meter.commands.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

-- The last reading of each channel of each meter by event time.
CREATE TABLE `meter_latest_v1` (
  `record_key` STRING NOT NULL,
  `meter` STRING NOT NULL,
  `channel` SMALLINT NOT NULL,
  `time_ms` BIGINT NOT NULL,
  `clock` STRING NOT NULL,
  `received_ms` BIGINT NOT NULL,
  `stream` STRING NOT NULL,
  `seq` BIGINT NOT NULL,
  `voltage_v` DOUBLE NOT NULL,
  `current_a` DOUBLE NOT NULL,
  `active_power_w` DOUBLE NOT NULL,
  `frequency_hz` DOUBLE NOT NULL,
  `power_factor` DOUBLE NOT NULL,
  `non_active_power_var` DOUBLE NOT NULL,
  `import_wh` DOUBLE NOT NULL,
  `import_integrated_wh` DOUBLE NOT NULL,
  `export_wh` DOUBLE NOT NULL,
  `export_integrated_wh` DOUBLE NOT NULL,
  `voltage_sd_v` DOUBLE NOT NULL,
  `current_sd_a` DOUBLE NOT NULL,
  `active_power_sd_w` DOUBLE NOT NULL,
  `frequency_sd_hz` DOUBLE NOT NULL,
  `nis` DOUBLE NOT NULL,
  `flags` ARRAY<STRING> NOT NULL,
  `raw_voltage_v` DOUBLE NOT NULL,
  `raw_current_a` DOUBLE NOT NULL,
  `raw_active_power_w` DOUBLE NOT NULL,
  `raw_frequency_hz` DOUBLE NOT NULL,
  `raw_power_factor` DOUBLE NOT NULL,
  `account` STRING,
  PRIMARY KEY (`record_key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'meter.latest.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'key.format' = 'raw',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- How far each stream of each meter is committed: the state that makes writing exactly once. Internal.
CREATE TABLE `meter_ledger_v1` (
  `record_key` STRING NOT NULL,
  `row` STRING NOT NULL,
  `meter` STRING,
  `stream` STRING,
  `through` BIGINT,
  `updated_ms` BIGINT NOT NULL,
  `latest_ms` BIGINT,
  `incarnation` BIGINT,
  PRIMARY KEY (`record_key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'meter.ledger.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'key.format' = 'raw',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- Payloads that could not be read, byte for byte; the reason is in the headers.
CREATE TABLE `dead_letter_v1` (
  `payload` BYTES,
  `headers` MAP<STRING, BYTES> NOT NULL METADATA VIRTUAL,
  `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `reason` AS CAST(`headers`['reason'] AS STRING),
  `detail` AS CAST(`headers`['detail'] AS STRING),
  `topic` AS CAST(`headers`['topic'] AS STRING),
  `received_ms` AS CAST(CAST(`headers`['received_ms'] AS STRING) AS BIGINT),
  `from_seq` AS CAST(CAST(`headers`['from_seq'] AS STRING) AS BIGINT),
  `meter` AS CAST(`headers`['meter'] AS STRING),
  `stream` AS CAST(`headers`['stream'] AS STRING),
  `through_seq` AS CAST(CAST(`headers`['through_seq'] AS STRING) AS BIGINT)
) WITH (
  'connector' = 'kafka',
  'topic' = 'dead-letter.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'raw'
);
