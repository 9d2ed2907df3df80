-- Intervals of a minute and of a quarter of an hour, from the differences of the meters' cumulative registers: docs/flink.md.
--
-- After topics.sql. A late reading changes every interval that it has a say in: the last record of a key in the target counts.
--
-- The steps: readings that can be used (samples); each with the one that follows it, however late either came (spans); how far the registers
-- advanced from one to the other (advances); which part of that lies in which interval (shares); their sum.

-- Several changes of an interval become one record.
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '2 s';
SET 'table.exec.mini-batch.size' = '50000';
SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE';
-- Hours of a channel that are numbered without asking the state, times 4,000, the most that one can hold: give it two for each channel.
SET 'table.exec.rank.topn-cache-size' = '400000000';
-- A reading may be a day late, and end a gap that began a day before.
SET 'table.exec.state.ttl' = '3 d';
SET 'execution.checkpointing.interval' = '20 s';

CREATE TABLE `meter_intervals_flink_v1` (
  `meter` STRING NOT NULL,
  `channel` SMALLINT NOT NULL,
  `length` STRING NOT NULL,
  `start_ms` BIGINT NOT NULL,
  `end_ms` BIGINT NOT NULL,
  `quality` STRING NOT NULL,
  `import_wh` DOUBLE NOT NULL,
  `export_wh` DOUBLE NOT NULL,
  `import_register_wh` DOUBLE,
  `export_register_wh` DOUBLE,
  `readings` BIGINT NOT NULL,
  `covered_ms` BIGINT NOT NULL,
  `voltage_mean_v` DOUBLE,
  `voltage_min_v` DOUBLE,
  `voltage_max_v` DOUBLE,
  PRIMARY KEY (`meter`, `channel`, `length`, `start_ms`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'meter.intervals.flink.v1',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.transaction.timeout.ms' = '600000',
  'key.format' = 'json',
  'value.format' = 'json',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'meter-intervals-flink-v1'
);

-- Registers in 0.01 Wh, voltage in mV: whole numbers, so that no order of adding them makes a difference. Left out is what has no certain
-- time, what the meter's filter did not believe, and what comes from the future. A register counts to 9,999.999 kWh (see advances).
CREATE TEMPORARY VIEW `samples` AS
SELECT * FROM (
  SELECT
    `meter`,
    `channel`,
    `time_ms`,
    `time_ms` / 3600000 AS `hour_number`,
    CAST(FLOOR(`import_wh` * 100 + 0.5) AS BIGINT) AS `import_cwh`,
    CAST(FLOOR(`export_wh` * 100 + 0.5) AS BIGINT) AS `export_cwh`,
    CASE WHEN NOT ARRAY_CONTAINS(`flags`, 'REGISTERS_ONLY') THEN CAST(FLOOR(`voltage_v` * 1000 + 0.5) AS BIGINT) END AS `voltage_mv`
  FROM `meter_readings_v1`
  WHERE `clock` <> 'unknown'
    AND NOT ARRAY_CONTAINS(`flags`, 'REJECTED')
    AND NOT ARRAY_CONTAINS(`flags`, 'REPLAY')
    AND `time_ms` <= `received_ms` + 300000
)
WHERE `import_cwh` >= 0 AND `import_cwh` < 1000000000 AND `export_cwh` >= 0 AND `export_cwh` < 1000000000;

-- Within an hour each reading has a number, and the next one follows it. So many are a reading a second, and some.
CREATE TEMPORARY VIEW `numbered` AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `meter`, `channel`, `hour_number` ORDER BY `time_ms`) AS `number`
  FROM `samples`
)
WHERE `number` <= 4000;

CREATE TEMPORARY VIEW `spans_within_hours` AS
SELECT
  `a`.`meter`,
  `a`.`channel`,
  `a`.`time_ms` AS `from_ms`,
  `b`.`time_ms` AS `to_ms`,
  `a`.`import_cwh` AS `from_import`,
  `b`.`import_cwh` AS `to_import`,
  `a`.`export_cwh` AS `from_export`,
  `b`.`export_cwh` AS `to_export`,
  `a`.`voltage_mv`
FROM `numbered` AS `a`
JOIN `numbered` AS `b`
  ON `a`.`meter` = `b`.`meter` AND `a`.`channel` = `b`.`channel` AND `a`.`hour_number` = `b`.`hour_number` AND `a`.`number` + 1 = `b`.`number`;

-- The last reading of an hour is followed by the first of the next hour that has any, up to a day later.
CREATE TEMPORARY VIEW `hours` AS
SELECT DISTINCT `meter`, `channel`, `hour_number` FROM `samples`;

CREATE TEMPORARY VIEW `hours_and_next` AS
SELECT `meter`, `channel`, `hour_number`, `next_hour_number` FROM (
  SELECT
    `a`.`meter`,
    `a`.`channel`,
    `a`.`hour_number`,
    `b`.`hour_number` AS `next_hour_number`,
    ROW_NUMBER() OVER (PARTITION BY `a`.`meter`, `a`.`channel`, `a`.`hour_number` ORDER BY `b`.`hour_number`) AS `number`
  FROM `hours` AS `a`
  JOIN `hours` AS `b`
    ON `a`.`meter` = `b`.`meter` AND `a`.`channel` = `b`.`channel`
    AND `b`.`hour_number` > `a`.`hour_number` AND `b`.`hour_number` <= `a`.`hour_number` + 24
)
WHERE `number` = 1;

CREATE TEMPORARY VIEW `first_of_hours` AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `meter`, `channel`, `hour_number` ORDER BY `time_ms`) AS `number`
  FROM `samples`
)
WHERE `number` = 1;

CREATE TEMPORARY VIEW `last_of_hours` AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `meter`, `channel`, `hour_number` ORDER BY `time_ms` DESC) AS `number`
  FROM `samples`
)
WHERE `number` = 1;

CREATE TEMPORARY VIEW `spans_between_hours` AS
SELECT
  `a`.`meter`,
  `a`.`channel`,
  `a`.`time_ms` AS `from_ms`,
  `b`.`time_ms` AS `to_ms`,
  `a`.`import_cwh` AS `from_import`,
  `b`.`import_cwh` AS `to_import`,
  `a`.`export_cwh` AS `from_export`,
  `b`.`export_cwh` AS `to_export`,
  `a`.`voltage_mv`
FROM `hours_and_next` AS `h`
JOIN `last_of_hours` AS `a`
  ON `h`.`meter` = `a`.`meter` AND `h`.`channel` = `a`.`channel` AND `h`.`hour_number` = `a`.`hour_number`
JOIN `first_of_hours` AS `b`
  ON `h`.`meter` = `b`.`meter` AND `h`.`channel` = `b`.`channel` AND `h`.`next_hour_number` = `b`.`hour_number`;

-- How far each register advanced. More than 100 kW, and a step of the register, is not believed; a fall is a register that began again at
-- zero, if that is plausible, or else another meter: then the energy is not known. Both registers are one meter's: if one doesn't tell, the
-- other doesn't either. Readings more than three minutes apart have a gap between them, and more than a day apart nothing at all.
CREATE TEMPORARY VIEW `advances` AS
SELECT
  *,
  `to_ms` - `from_ms` <= 180000 AS `is_dense`,
  CASE WHEN `import_told` IS NOT NULL AND `export_told` IS NOT NULL THEN `import_told` END AS `import_advance`,
  CASE WHEN `import_told` IS NOT NULL AND `export_told` IS NOT NULL THEN `export_told` END AS `export_advance`
FROM (
  SELECT
    *,
    CASE
      WHEN `to_import` - `from_import` > `most` THEN CAST(NULL AS BIGINT)
      WHEN `to_import` >= `from_import` THEN `to_import` - `from_import`
      WHEN `to_import` - `from_import` + 1000000000 <= `most` THEN `to_import` - `from_import` + 1000000000
    END AS `import_told`,
    CASE
      WHEN `to_export` - `from_export` > `most` THEN CAST(NULL AS BIGINT)
      WHEN `to_export` >= `from_export` THEN `to_export` - `from_export`
      WHEN `to_export` - `from_export` + 1000000000 <= `most` THEN `to_export` - `from_export` + 1000000000
    END AS `export_told`
  FROM (
    SELECT *, (`to_ms` - `from_ms`) * 100000 / 36000 + 1000 AS `most`
    FROM (SELECT * FROM `spans_within_hours` UNION ALL SELECT * FROM `spans_between_hours`)
    WHERE `to_ms` > `from_ms` AND `to_ms` - `from_ms` <= 86400000
  )
);

-- The intervals that a span lies in: up to four minutes and two quarters of an hour. Minutes that lie in a gap entirely are nobody's, because
-- nothing in them was measured; quarters there are up to 97, ten times ten numbers.
CREATE TEMPORARY VIEW `pieces` AS
SELECT
  `meter`, `channel`, `from_ms`, `to_ms`, `from_import`, `to_import`, `from_export`, `to_export`, `import_advance`, `export_advance`,
  `voltage_mv`, `is_dense`, CAST('1min' AS STRING) AS `length`, `place` * 60000 AS `start_ms`, (`place` + 1) * 60000 AS `end_ms`
FROM (
  SELECT
    *,
    CASE
      WHEN `is_dense` THEN ARRAY[`from_ms` / 60000, `from_ms` / 60000 + 1, `from_ms` / 60000 + 2, `from_ms` / 60000 + 3]
      ELSE ARRAY[`from_ms` / 60000, `to_ms` / 60000]
    END AS `places`
  FROM `advances`
) AS `s` CROSS JOIN UNNEST(`s`.`places`) AS `p` (`place`)
UNION ALL
SELECT
  `meter`, `channel`, `from_ms`, `to_ms`, `from_import`, `to_import`, `from_export`, `to_export`, `import_advance`, `export_advance`,
  `voltage_mv`, `is_dense`, CAST('15min' AS STRING) AS `length`, `place` * 900000 AS `start_ms`, (`place` + 1) * 900000 AS `end_ms`
FROM (
  SELECT
    *,
    CASE
      WHEN `is_dense` THEN ARRAY[`ten`, `ten` + 1]
      ELSE ARRAY[`ten`, `ten` + 1, `ten` + 2, `ten` + 3, `ten` + 4, `ten` + 5, `ten` + 6, `ten` + 7, `ten` + 8, `ten` + 9]
    END AS `places`
  FROM (
    SELECT
      *,
      CASE
        WHEN `is_dense` THEN ARRAY[`from_ms` / 900000]
        ELSE ARRAY[
          `from_ms` / 900000, `from_ms` / 900000 + 10, `from_ms` / 900000 + 20, `from_ms` / 900000 + 30, `from_ms` / 900000 + 40,
          `from_ms` / 900000 + 50, `from_ms` / 900000 + 60, `from_ms` / 900000 + 70, `from_ms` / 900000 + 80, `from_ms` / 900000 + 90
        ]
      END AS `tens`
    FROM `advances`
  ) AS `g` CROSS JOIN UNNEST(`g`.`tens`) AS `t` (`ten`)
) AS `s` CROSS JOIN UNNEST(`s`.`places`) AS `p` (`place`);

-- What a span brings to an interval. The register between two readings is interpolated linearly, in whole 0.01 Wh, so that what intervals
-- get adds up to the advance. A boundary within two seconds of a reading is actual (0), or else interpolated between readings that follow
-- each other (1), over a gap (2), over one of more than two hours (3).
CREATE TEMPORARY VIEW `shares` AS
SELECT
  `meter`, `channel`, `length`, `start_ms`, `from_ms`, `is_dense`, `voltage_mv`,
  `upper_ms` - `lower_ms` AS `known_ms`,
  `import_advance` * (`upper_ms` - `from_ms`) / (`to_ms` - `from_ms`)
    - `import_advance` * (`lower_ms` - `from_ms`) / (`to_ms` - `from_ms`) AS `import_share`,
  `export_advance` * (`upper_ms` - `from_ms`) / (`to_ms` - `from_ms`)
    - `export_advance` * (`lower_ms` - `from_ms`) / (`to_ms` - `from_ms`) AS `export_share`,
  CASE
    WHEN `from_ms` > `start_ms` THEN CAST(NULL AS INT)
    WHEN LEAST(`start_ms` - `from_ms`, `to_ms` - `start_ms`) <= 2000 THEN 0
    WHEN `is_dense` THEN 1
    WHEN `to_ms` - `from_ms` <= 7200000 THEN 2
    ELSE 3
  END AS `opening`,
  CASE
    WHEN `to_ms` < `end_ms` THEN CAST(NULL AS INT)
    WHEN LEAST(`end_ms` - `from_ms`, `to_ms` - `end_ms`) <= 2000 THEN 0
    WHEN `is_dense` THEN 1
    WHEN `to_ms` - `from_ms` <= 7200000 THEN 2
    ELSE 3
  END AS `closing`,
  CASE
    WHEN `to_ms` < `end_ms` THEN CAST(NULL AS BIGINT)
    WHEN `to_ms` = `end_ms` THEN `to_import`
    ELSE MOD(`from_import` + `import_advance` * (`end_ms` - `from_ms`) / (`to_ms` - `from_ms`), CAST(1000000000 AS BIGINT))
  END AS `closing_import`,
  CASE
    WHEN `to_ms` < `end_ms` THEN CAST(NULL AS BIGINT)
    WHEN `to_ms` = `end_ms` THEN `to_export`
    ELSE MOD(`from_export` + `export_advance` * (`end_ms` - `from_ms`) / (`to_ms` - `from_ms`), CAST(1000000000 AS BIGINT))
  END AS `closing_export`
FROM (
  SELECT *, GREATEST(`start_ms`, `from_ms`) AS `lower_ms`, LEAST(`end_ms`, `to_ms`) AS `upper_ms`
  FROM `pieces`
  WHERE `start_ms` < `to_ms`
);

-- An interval is there as soon as all of it is known: a reading at its end or after it, and one at its start or before it. A reading's
-- voltage stands until the next one, but not over a gap.
INSERT INTO `meter_intervals_flink_v1`
SELECT
  `meter`,
  `channel`,
  `length`,
  `start_ms`,
  `start_ms` + CASE `length` WHEN '1min' THEN 60000 ELSE 900000 END,
  CASE
    WHEN COUNT(`import_share`) < COUNT(*) THEN 'X'
    WHEN GREATEST(SUM(`opening`), SUM(`closing`)) = 0 THEN 'A'
    WHEN GREATEST(SUM(`opening`), SUM(`closing`)) = 1 THEN 'R'
    WHEN GREATEST(SUM(`opening`), SUM(`closing`)) = 2 THEN 'E'
    ELSE 'S'
  END,
  CAST(COALESCE(SUM(`import_share`), 0) AS DOUBLE) / 100,
  CAST(COALESCE(SUM(`export_share`), 0) AS DOUBLE) / 100,
  CAST(SUM(`closing_import`) AS DOUBLE) / 100,
  CAST(SUM(`closing_export`) AS DOUBLE) / 100,
  SUM(CASE WHEN `from_ms` >= `start_ms` THEN CAST(1 AS BIGINT) ELSE 0 END),
  SUM(CASE WHEN `is_dense` THEN `known_ms` ELSE 0 END),
  CAST(
    (
      2 * SUM(CASE WHEN `is_dense` THEN `voltage_mv` * `known_ms` END)
        + SUM(CASE WHEN `is_dense` AND `voltage_mv` IS NOT NULL THEN `known_ms` END)
    ) / (2 * SUM(CASE WHEN `is_dense` AND `voltage_mv` IS NOT NULL THEN `known_ms` END))
    AS DOUBLE
  ) / 1000,
  CAST(MIN(CASE WHEN `is_dense` OR `from_ms` >= `start_ms` THEN `voltage_mv` END) AS DOUBLE) / 1000,
  CAST(MAX(CASE WHEN `is_dense` OR `from_ms` >= `start_ms` THEN `voltage_mv` END) AS DOUBLE) / 1000
FROM `shares`
GROUP BY `meter`, `channel`, `length`, `start_ms`
HAVING SUM(`known_ms`) = CASE `length` WHEN '1min' THEN 60000 ELSE 900000 END;
