//! The checked-in schemas, examples and AsyncAPI document are what the code writes and reads.

mod common;

use common::files::{matches_file, matches_text, path, read};
use common::{
    alert_actions, alerts, commands, dead_letters, events, examples, feeder, feeder_event, feeder_interval, feeder_state, intervals,
    meter_state, reading, reading_record,
};
use contracts::{
    AlertActionRecord, AlertId, AlertRecord, CommandRecord, EventRecord, FeederEventRecord, FeederIntervalRecord, FeederRecord,
    FeederStateRecord, IntervalRecord, LatestRecord, LedgerKey, LedgerRecord, MeterStateRecord, ReadingRecord, all, asyncapi, flink_tables,
    topics,
};

#[test]
fn schemas_are_checked_in() {
    for contract in all() {
        matches_file(&format!("schemas/{}.json", contract.name), &contract.schema);
    }
}

#[test]
fn avro_schemas_are_checked_in() {
    for contract in all().iter().filter(|it| ["meter.readings.v1", "meter.intervals.v1"].contains(&it.name)) {
        matches_file(&format!("avro/{}.avsc", contract.name), &contracts::avro::avro_schema(contract).unwrap());
    }
}

#[test]
fn examples_are_checked_in() {
    for contract in all() {
        matches_file(&format!("golden/{}.json", contract.name), &examples(contract.name));
    }
}

#[test]
fn the_asyncapi_document_is_checked_in() {
    matches_file("../../docs/asyncapi.json", &asyncapi());
}

#[test]
fn flink_tables_are_checked_in() {
    matches_text("../../deploy/flink/topics.sql", &flink_tables().unwrap());
}

#[test]
fn every_topic_has_a_flink_table_with_its_fields() {
    let text = flink_tables().unwrap();
    for topic in topics::ALL {
        let begin = format!("CREATE TABLE `{}` (", contracts::flink_table_name(&topic));
        let (_, table) = text.split_once(&begin).unwrap_or_else(|| panic!("{} has no table", topic.name));
        let (table, _) = table.split_once(");").unwrap();
        assert!(table.contains(&format!("'topic' = '{}'", topic.name)), "{table}");
        let mut columns: Vec<&str> = table.lines().filter_map(|line| line.trim().strip_prefix('`')?.split('`').next()).collect();
        let contract = all().into_iter().find(|it| it.name == topic.name).unwrap();
        let shapes = contract.schema["oneOf"].as_array().map_or_else(|| vec![&contract.schema], |it| it.iter().collect());
        for field in shapes.iter().flat_map(|it| it["properties"].as_object().unwrap().keys()) {
            assert!(columns.contains(&field.as_str()), "{}: no column for {field}", topic.name);
        }
        let fields = |name: &str| shapes.iter().any(|it| it["properties"].get(name).is_some());
        columns.retain(|it| !fields(it));
        let added = ["record_key", "record_time", "event_time", "payload", "headers"];
        assert!(columns.iter().all(|it| added.contains(it)), "{}: no field is behind one of {columns:?}", topic.name);
    }
}

#[test]
fn examples_fit_their_schemas() {
    for contract in all() {
        let validator = jsonschema::draft202012::new(&contract.schema).unwrap();
        for example in examples(contract.name).as_array().unwrap() {
            let wrong: Vec<_> = validator.iter_errors(example).map(|it| it.to_string()).collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", contract.name);
            assert!(!validator.is_valid(&serde_json::json!({})), "{}: the schema takes anything", contract.name);
        }
    }
}

#[test]
fn a_reading_survives_json_to_the_last_digit() {
    let mut buffer = Vec::new();
    serde_json::to_writer(&mut buffer, &reading_record()).unwrap();
    let back: ReadingRecord = serde_json::from_slice(&buffer).unwrap();
    assert_eq!(back, reading_record());
    assert_eq!(back.reading(), reading());
}

#[test]
fn golden_files_lead_back_to_the_values() {
    let golden: Vec<ReadingRecord> = serde_json::from_value(read(&path("golden/meter.readings.v1.json"))).unwrap();
    assert_eq!(golden, [reading_record()]);
    let golden: Vec<EventRecord> = serde_json::from_value(read(&path("golden/meter.events.v1.json"))).unwrap();
    assert_eq!(golden, events());
    let golden: Vec<IntervalRecord> = serde_json::from_value(read(&path("golden/meter.intervals.v1.json"))).unwrap();
    assert_eq!(golden, intervals());
    let golden: Vec<FeederIntervalRecord> = serde_json::from_value(read(&path("golden/feeder.intervals.v1.json"))).unwrap();
    assert_eq!(golden, [feeder_interval()]);
    let golden: Vec<FeederStateRecord> = serde_json::from_value(read(&path("golden/feeder.state.v1.json"))).unwrap();
    assert_eq!(golden, [feeder_state()]);
    let golden: Vec<FeederEventRecord> = serde_json::from_value(read(&path("golden/feeder.events.v1.json"))).unwrap();
    assert_eq!(golden, [feeder_event()]);
    let golden: Vec<MeterStateRecord> = serde_json::from_value(read(&path("golden/meter.state.v1.json"))).unwrap();
    assert_eq!(golden, [meter_state()]);
    let golden: Vec<MeterStateRecord> = serde_json::from_value(read(&path("golden/meter.profiles.v1.json"))).unwrap();
    assert_eq!(golden, [meter_state()]);
    let golden: Vec<AlertRecord> = serde_json::from_value(read(&path("golden/alerts.v1.json"))).unwrap();
    assert_eq!(golden, alerts());
    let golden: Vec<AlertActionRecord> = serde_json::from_value(read(&path("golden/alerts.actions.v1.json"))).unwrap();
    assert_eq!(golden, alert_actions());
    let golden: Vec<FeederRecord> = serde_json::from_value(read(&path("golden/grid.topology.v1.json"))).unwrap();
    assert_eq!(golden, [feeder()]);
    let golden: Vec<CommandRecord> = serde_json::from_value(read(&path("golden/meter.commands.v1.json"))).unwrap();
    assert_eq!(golden, commands());
    let golden: Vec<contracts::DeadLetter> = serde_json::from_value(read(&path("golden/dead-letter.v1.json"))).unwrap();
    assert_eq!(golden, dead_letters());
    let golden: Vec<LedgerRecord> = serde_json::from_value(read(&path("golden/meter.ledger.v1.json"))).unwrap();
    assert!(matches!(golden[..], [LedgerRecord::Through(_), LedgerRecord::Incarnation(_)]));
}

#[test]
fn a_field_that_is_new_does_not_disturb() {
    let mut value = serde_json::to_value(reading_record()).unwrap();
    value["tenant"] = "A-17".into();
    assert_eq!(serde_json::from_value::<ReadingRecord>(value).unwrap(), reading_record());
}

#[test]
fn records_of_before_there_were_accounts_are_read() {
    let without = |mut value: serde_json::Value| {
        assert!(value.as_object_mut().unwrap().remove("account").is_some(), "{value}");
        value
    };
    let mut reading = reading_record();
    let read: ReadingRecord = serde_json::from_value(without(serde_json::to_value(&reading).unwrap())).unwrap();
    reading.account = None;
    assert_eq!(read, reading);
    let [mut day, _] = intervals();
    let read: IntervalRecord = serde_json::from_value(without(serde_json::to_value(&day).unwrap())).unwrap();
    day.account = None;
    assert_eq!(read, day);
    let [_, mut of_channel] = commands();
    let read: CommandRecord = serde_json::from_value(without(serde_json::to_value(&of_channel).unwrap())).unwrap();
    of_channel.account = None;
    assert_eq!(read, of_channel);
    for (event, value) in events().into_iter().map(|it| (it.clone(), serde_json::to_value(it).unwrap())) {
        if value.get("account").is_some() {
            assert_ne!(serde_json::from_value::<EventRecord>(without(value)).unwrap(), event, "it has no account");
        }
    }
}

#[test]
fn a_record_of_a_channel_has_its_account_and_one_of_the_meter_has_none() {
    let accounts: Vec<_> = events().iter().map(|it| serde_json::to_value(it).unwrap()["account"].as_str().map(str::to_owned)).collect();
    let (first, sixth) = (Some("M0001.0".to_owned()), Some("M0001.5".to_owned()));
    assert_eq!(accounts, [None, first.clone(), None, sixth, first.clone(), first], "hello, event, gap, outcome, quality, week");
    let accounts = commands().map(|it| serde_json::to_value(it).unwrap()["account"].as_str().map(str::to_owned));
    assert_eq!(accounts, [None, Some("M0001.5".to_owned())], "a reading of all channels, credit for one");
}

#[test]
fn each_channel_has_a_latest_record_of_its_own() {
    let key = |channel| LatestRecord(ReadingRecord { channel, ..reading_record() }).key();
    assert_eq!((key(0), key(1), key(15)), ("M0001".to_owned(), "M0001.1".to_owned(), "M0001.15".to_owned()));
}

#[test]
fn a_check_that_is_new_is_passed_over() {
    let mut value = serde_json::to_value(&intervals()[0]).unwrap();
    value["checks"].as_array_mut().unwrap().push("FROZEN".into());
    assert_eq!(serde_json::from_value::<IntervalRecord>(value).unwrap(), intervals()[0]);
}

#[test]
fn headers_of_a_dead_letter_are_its_fields() {
    for letter in dead_letters() {
        let fields = serde_json::to_value(&letter).unwrap();
        let headers = letter.headers();
        assert_eq!(headers.len(), fields.as_object().unwrap().len());
        for (name, text) in headers {
            let field = &fields[name];
            assert_eq!(field.as_str().map_or_else(|| field.to_string(), str::to_owned), text, "{name}");
        }
    }
}

#[test]
fn ledger_keys_lead_back_and_nothing_else_passes() {
    for text in ["M0001/0123456789abcdef", "incarnation", "incarnation/0123456789abcdef"] {
        assert_eq!(text.parse::<LedgerKey>().unwrap().to_string(), text);
    }
    for bad in ["", "M0001", "M0001/", "/0123456789abcdef", "M0001/0123456789abcdef/", "M0001/0123"] {
        assert!(bad.parse::<LedgerKey>().is_err(), "{bad}");
    }
}

#[test]
fn an_alerts_id_leads_back_and_nothing_else_passes() {
    for text in ["00000000000000000000000000000001", "ffffffffffffffffffffffffffffffff"] {
        assert_eq!(text.parse::<AlertId>().unwrap().to_string(), text);
    }
    for bad in ["", "1", "0000000000000000000000000000000g", "+0000000000000000000000000000001", "000000000000000000000000000000001"] {
        assert!(bad.parse::<AlertId>().is_err(), "{bad}");
    }
}

#[test]
fn every_topic_has_a_contract_and_a_name_of_its_own() {
    let contracts = all().map(|it| it.name);
    for topic in topics::ALL {
        assert!(contracts.contains(&topic.name), "{}", topic.name);
        assert_eq!(topics::ALL.iter().filter(|it| it.name == topic.name).count(), 1);
    }
    assert_eq!(topics::READINGS.name_with("t1-"), "t1-meter.readings.v1");
}
