//! The AsyncAPI 3.0 document of all topics, on MQTT and on Kafka.

use serde_json::{Map, Value, json};

use crate::contract::all;
use crate::topics::{self, KafkaTopic};

/// The document. It is checked in as `docs/asyncapi.json`.
pub fn asyncapi() -> Value {
    let mut messages = Map::from_iter(all().map(|it| (it.name.to_owned(), message(it.name, it.draft_7))));
    messages.insert("frame".to_owned(), binary("application/vnd.ferraris.frame", "One frame: up to 64 numbered records of one stream."));
    messages
        .insert("ack".to_owned(), binary("application/vnd.ferraris.ack", "One acknowledgement: how far a stream is committed in Kafka."));
    messages.insert("command".to_owned(), binary("application/vnd.ferraris.command", "One signed command for one meter."));
    messages.insert(
        "ack-batch".to_owned(),
        binary("application/vnd.ferraris.ack-batch", "Acknowledgements to meters of one shard, for the broker to hand out."),
    );

    let mut channels = Map::new();
    let mut operations = Map::new();
    for topic in &topics::ALL {
        channels.insert(topic.name.to_owned(), kafka_channel(topic));
        let (verb, action) = if topic.taken { ("read", "receive") } else { ("write", "send") };
        operations.insert(format!("{verb} {}", topic.name), operation(action, topic.name));
    }
    for it in &MQTT {
        channels.insert(it.name.to_owned(), mqtt_channel(it));
        operations
            .insert(format!("{} {}", if it.action == "send" { "publish" } else { "receive" }, it.name), operation(it.action, it.name));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ferraris",
            "version": "1.0.0",
            "description": "A smart-metering head-end: what meters and operators see on MQTT, and what is in Kafka. \
                            Kafka topics are read with isolation.level=read_committed; each record is there exactly once. \
                            Values may grow by optional fields and new values of `record`, `kind` and `reason`; \
                            anything else becomes a new topic.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "gate": {
                "host": "localhost:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "3.1.1",
                "description": "MQTT 3.1.1 over TLS with client certificates.",
            },
            "kafka": { "host": "localhost:9092", "protocol": "kafka", "description": "Any Kafka with transactions." },
        },
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
    })
}

/// An MQTT topic.
struct MqttTopic {
    name: &'static str,
    address: &'static str,
    message: &'static str,
    action: &'static str,
    retained: bool,
    description: &'static str,
}

const MQTT: [MqttTopic; 8] = [
    MqttTopic {
        name: "up",
        address: "f1/{shard}/{meter}/up",
        message: "frame",
        action: "receive",
        retained: false,
        description: "From a meter, with QoS 1. An MQTT acknowledgement promises nothing: only `dn` does.",
    },
    MqttTopic {
        name: "dn",
        address: "f1/{shard}/{meter}/dn",
        message: "ack",
        action: "send",
        retained: false,
        description: "To a meter, after the commit in Kafka. Cumulative; may be lost, late or repeated.",
    },
    MqttTopic {
        name: "cmd",
        address: "f1/{shard}/{meter}/cmd",
        message: "command",
        action: "send",
        retained: false,
        description: "To a meter, from meter.commands.v1, until its outcome is in meter.events.v1 or it has expired; may be repeated.",
    },
    MqttTopic {
        name: "acks",
        address: "f1/{shard}/acks",
        message: "ack-batch",
        action: "send",
        retained: false,
        description: "To our broker, which hands each acknowledgement to its meter as `dn`; other brokers get `dn` itself.",
    },
    MqttTopic {
        name: "live",
        address: "live/{meter}",
        message: "live",
        action: "send",
        retained: true,
        description: "The last reading of channel 0, after the commit; at most one a second, never older than the one before.",
    },
    MqttTopic {
        name: "live-channel",
        address: "live/{meter}/{channel}",
        message: "live",
        action: "send",
        retained: true,
        description: "The last reading of any other channel, in the same way. `live/{meter}/#` has all channels of a meter.",
    },
    MqttTopic {
        name: "state",
        address: "state/{meter}",
        message: "state",
        action: "send",
        retained: true,
        description: "Whether a meter is online, said by the gate from the TLS session itself.",
    },
    MqttTopic {
        name: "alert",
        address: "alert/{severity}/{subject}",
        message: "alerts.v1",
        action: "send",
        retained: false,
        description: "A change in an alert's life, after the commit; may be missed: what is open stands in Kafka.",
    },
];

fn message(name: &str, schema: Value) -> Value {
    let schema = self_contained(schema);
    if name == topics::DEAD_LETTERS.name {
        return json!({ "contentType": "application/octet-stream", "headers": schema, "payload": { "type": "string", "format": "binary" } });
    }
    json!({ "payload": schema })
}

/// Without `$schema`, which belongs to a document of its own.
fn self_contained(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    schema
}

fn binary(content_type: &str, summary: &str) -> Value {
    json!({ "contentType": content_type, "summary": summary, "payload": { "type": "string", "format": "binary" } })
}

fn reference(path: &str) -> Value {
    json!({ "$ref": path })
}

fn kafka_channel(topic: &KafkaTopic) -> Value {
    json!({
        "address": topic.name,
        "description": topic.description,
        "tags": [{ "name": if topic.internal { "internal" } else { "public" } }],
        "servers": [reference("#/servers/kafka")],
        "messages": { topic.name: reference(&format!("#/components/messages/{}", topic.name)) },
        "x-key": topic.key,
        "bindings": { "kafka": { "topicConfiguration": { "cleanup.policy": [topic.cleanup.policy()] }, "bindingVersion": "0.5.0" } },
    })
}

fn mqtt_channel(topic: &MqttTopic) -> Value {
    let known = [
        ("meter", "The meter's id: [A-Za-z0-9][A-Za-z0-9_-]{0,31}, the common name of its certificate."),
        ("channel", "1 to 15 in decimal digits; channel 0 is on live/{meter}."),
        ("severity", "info, warning or critical."),
        ("subject", "The meter that the alert names, or its feeder if it names none."),
        ("shard", "(murmur2(meter) & 0x7fffffff) % 64 in two lower-case hexadecimal digits."),
    ];
    let named = known.into_iter().filter(|(name, _)| topic.address.contains(&format!("{{{name}}}")));
    let parameters: Map<String, Value> = named.map(|(name, about)| (name.to_owned(), json!({ "description": about }))).collect();
    json!({
        "address": topic.address,
        "description": topic.description,
        "servers": [reference("#/servers/gate")],
        "parameters": parameters,
        "messages": { topic.message: reference(&format!("#/components/messages/{}", topic.message)) },
        "x-retained": topic.retained,
    })
}

fn operation(action: &str, channel: &str) -> Value {
    json!({ "action": action, "channel": reference(&format!("#/channels/{channel}")) })
}
