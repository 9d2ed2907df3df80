//! Reading a configuration, and whether its values make sense together.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Config, ConfigError, Device};

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// See [`ConfigError`]; the text says which file, where and what.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
        let config: Self =
            toml::from_str(&text).map_err(|error| ConfigError::Syntax { path: path.into(), message: one_line(&text, &error) })?;
        config.check()?;
        Ok(config)
    }

    /// Whether the values make sense together.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.meter.is_empty() {
            return Err(value_error("[[meter]]", "is missing: name one meter at least"));
        }
        self.report.to_core()?;
        self.condition.to_core()?;
        for (key, value, least, most) in [
            ("broker.keep_alive_s", u64::from(self.broker.keep_alive_s), 5, 1_200),
            ("broker.connect_timeout_s", self.broker.connect_timeout_s, 1, 600),
            ("broker.reconnect_first_ms", self.broker.reconnect_first_ms, 1, self.broker.reconnect_max_ms),
            ("delivery.resend_first_ms", self.delivery.resend_first_ms, 10, self.delivery.resend_max_ms),
            ("report.heartbeat_ms", self.report.heartbeat_ms, 1_000, 86_400_000),
        ] {
            in_range(key, value, least, most)?;
        }
        for (index, meter) in self.meter.iter().enumerate() {
            let earlier = self.meter.iter().take(index);
            if earlier.clone().any(|other| other.id == meter.id) {
                return Err(value_error(format!("meter {}", meter.id), "is there twice"));
            }
            let key = |name: &str| format!("meter {}: {name}", meter.id);
            meter.device.check(key)?;
            self.commands.to_core(&meter.id, None)?;
            meter.prepaid()?;
            meter.check_keypad()?;
            meter.check_chip(earlier.clone())?;
            meter.check_modules(earlier.clone().filter(|other| other.device.bus() == meter.device.bus()))?;
            let Some(bus) = meter.device.bus() else { continue };
            if !self.bus.contains_key(bus) {
                return Err(value_error(key("bus"), format!("names {bus:?}, but there is no section [bus.{bus}]")));
            }
            for other in earlier.filter(|other| other.device.bus() == Some(bus)) {
                if other.device.name() != meter.device.name() {
                    return Err(value_error(key("bus"), "has another kind of device already: a bus speaks one language"));
                }
                if other.device.collides(&meter.device) {
                    let talks = matches!(meter.device, Device::DsmrP1(_) | Device::Sml(_));
                    let (name, problem) = if talks {
                        ("bus", "has a meter that talks unasked already: give each a port of its own")
                    } else {
                        ("address", "is another meter's on the same bus, too")
                    };
                    return Err(value_error(key(name), problem));
                }
            }
        }
        for (name, bus) in &self.bus {
            in_range(&format!("bus.{name}.reply_timeout_ms"), bus.reply_timeout_ms, 30, 60_000)?;
            in_range(&format!("bus.{name}.attempts"), bus.attempts.into(), 1, 10)?;
        }
        Ok(())
    }

    /// First eight bytes of the SHA-256 of the configuration in force, as every stream's first record tells it.
    pub fn fingerprint(&self) -> u64 {
        let text = toml::to_string(self).unwrap_or_else(|_| format!("{self:?}"));
        Sha256::digest(text).first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

pub(super) fn value_error(key: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value { key: key.into(), problem: problem.into() }
}

pub(super) fn in_range(key: &str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(value_error(key, format!("is {value}: use {least} to {most}"))) }
}

/// TOML's own message has a drawing of several lines; here is what matters of it.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count().saturating_add(1));
    let message = error.message().replace('\n', " ");
    line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
}

#[cfg(test)]
mod tests {
    use edge_core::report;

    use super::*;
    use crate::bus;
    use crate::config::{Broker, Bus, Journal, REFERENCE};
    use crate::push::Language;

    fn reference() -> Config {
        toml::from_str(REFERENCE).expect("the reference is valid")
    }

    #[test]
    fn the_reference_holds_the_defaults() {
        let reference = reference();
        reference.check().expect("sound");
        let broker = Broker::at("broker.example.org", 8883, "/etc/ferraris/ca.pem");
        let mut defaults = Config::new(broker, Journal::default().path);
        defaults.bus.insert("main".into(), Bus::at("/dev/ttyUSB0"));
        defaults.meter.clone_from(&reference.meter);
        // Without the key there is no listener; the reference suggests one.
        defaults.health = reference.health;
        assert_eq!(reference, defaults);
        assert_eq!(reference.report.to_core().expect("sound"), report::Config::default());
        assert!(matches!(reference.meter[0].device, Device::Pzem004t { poll_ms: 1_000, .. }));
    }

    #[test]
    fn every_key_of_the_reference_is_commented_and_nothing_else_is_accepted() {
        for (from, to) in [
            ("port = 8883", "prt = 8883"),
            ("address = 1", "adress = 1"),
            ("grace_ms", "grace_s"),
            ("[journal]", "[jurnal]"),
            ("poll_ms", "color = 1\npoll_ms"),
        ] {
            let text = REFERENCE.replacen(from, to, 1);
            assert_ne!(text, REFERENCE);
            assert!(toml::from_str::<Config>(&text).is_err(), "{to}");
        }
    }

    fn problem(from: &str, to: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, REFERENCE.replacen(from, to, 1)).expect("writes");
        let error = Config::load(&path).expect_err("unsound").to_string();
        error.replace(&path.display().to_string(), "agent.toml")
    }

    #[test]
    fn problems_are_told_in_one_line() {
        assert_eq!(
            problem("bus = \"main\"", "bus = \"roof\""),
            "configuration: meter M0001: bus names \"roof\", but there is no section [bus.roof]"
        );
        assert_eq!(problem("poll_ms = 1000", "poll_ms = 1"), "configuration: meter M0001: poll_ms is 1: use 100 to 3600000");
        assert_eq!(problem("power_w = 20.0", "power_w = -1.0"), "configuration: report.power_w is -1: use a number from 0 to 100000");
        let text = problem("keep_alive_s = 30", "keep_alive_s = \"x\"");
        assert!(text.starts_with("agent.toml: line 13: invalid type: string"), "{text}");
        let text = problem("id = \"M0001\"", "id = \"M/1\"");
        assert!(text.contains("identifier may hold only"), "{text}");
        let double = "[[meter]]\nid = \"M0001\"\ncertificate_file = \"a\"\nkey_file = \"b\"\ndevice = \"pzem-004t\"\nbus = \"main\"\naddress = 2\n\n[report]";
        assert_eq!(problem("[report]", double), "configuration: meter M0001 is there twice");
        let unreadable = Config::load(Path::new("/nowhere/agent.toml")).expect_err("not there").to_string();
        assert!(
            unreadable.starts_with("can't read /nowhere/agent.toml: No such file") && unreadable.contains("--print-config"),
            "{unreadable}"
        );
    }

    /// The reference with the optical meter that it suggests, and a bus for it.
    fn optical() -> String {
        let (before, rest) = REFERENCE.split_once("# [[meter]]\n").expect("a suggestion");
        let (suggested, rest) = rest.split_once("\n\n").expect("its end");
        let (_, after) = rest.split_once("\n[report]").expect("what follows");
        let keys = suggested.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = "));
        let section: Vec<_> = keys.filter(|line| !line.starts_with("registers") && !line.starts_with("password_file")).collect();
        format!("{before}[[meter]]\n{}\n[bus.optical]\nport = \"/dev/ttyUSB1\"\n\n[report]{after}", section.join("\n"))
    }

    #[test]
    fn the_suggested_optical_meter_has_the_defaults() {
        let config: Config = toml::from_str(&optical()).expect("valid");
        config.check().expect("sound");
        let keys = "device = \"iec62056-21\"\nbus = \"optical\"";
        let defaults: Device = toml::from_str(keys).expect("the others have defaults");
        assert_eq!(config.meter[1].device, defaults);
        for (from, to, expected) in [
            ("mode = \"readout\"", "mode = \"registers\"", "meter M0002: registers is empty: name the registers to ask for"),
            ("mode = \"readout\"", "registers = [\"1.8.0\"]", "meter M0002: registers needs mode = \"registers\""),
            ("baud_max = 19200", "baud_max = 115200", "meter M0002: baud_max is 115200: use 300, 600, 1200, 2400, 4800, 9600 or 19200"),
            ("bus = \"optical\"", "bus = \"main\"", "meter M0002: bus has another kind of device already: a bus speaks one language"),
            ("deadline_s = 180", "deadline_s = 1", "meter M0002: deadline_s is 1: use 5 to 900"),
        ] {
            let text = optical().replacen(from, to, 1);
            let error = toml::from_str::<Config>(&text).expect("valid").check().expect_err(to).to_string();
            assert_eq!(error, format!("configuration: {expected}"));
        }
    }

    #[test]
    fn meters_that_talk_unasked_have_a_port_of_their_own() {
        let first = "[[meter]]\nid = \"M0003\"\ncertificate_file = \"a\"\nkey_file = \"b\"\ndevice = \"dsmr-p1\"\nbus = \"p1\"\n";
        let bus = "[bus.p1]\nport = \"/dev/ttyUSB2\"\n\n";
        let with = |sections: &str| toml::from_str::<Config>(&REFERENCE.replacen("[report]", &format!("{sections}{bus}[report]"), 1));
        let config = with(first).expect("valid");
        config.check().expect("sound");
        let Ok(Some(bus::Question::Push(question))) = config.meter[1].device.question() else { panic!("listens") };
        assert_eq!((question.language, question.baud, question.deadline.as_secs()), (Language::DsmrP1, 115_200, 25));
        assert!(REFERENCE.contains("# poll_s = 10\n# deadline_s = 25\n"), "the reference tells the defaults");
        for (sections, expected) in [
            (format!("{first}\n{}", first.replace("M0003", "M0004")), "meter M0004: bus has a meter that talks unasked already"),
            (first.replace("bus =", "baud = 1\nbus ="), "meter M0003: baud is 1: use 300 to 921600"),
            (first.replace("bus =", "deadline_s = 1\nbus ="), "meter M0003: deadline_s is 1: use 2 to 300"),
        ] {
            let error = with(&sections).expect("valid").check().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn each_channel_of_a_meter_of_modules_has_a_module_of_its_own() {
        let channel = |number: u8, address: u8| format!("[[meter.channel]]\nnumber = {number}\naddress = {address}\n");
        let with = |sections: &str| toml::from_str::<Config>(&REFERENCE.replacen("[report]", &format!("{sections}\n[report]"), 1));
        let six: String = (1..6).map(|number| channel(number, number + 1)).collect();
        let config = with(&six).expect("valid");
        config.check().expect("sound");
        let asked = config.meter[0].questions().expect("sound").into_iter().map(|(channel, question)| match question {
            bus::Question::Pzem(address) => (channel, address.get()),
            other => panic!("{other:?}"),
        });
        assert_eq!(asked.collect::<Vec<_>>(), (0..6).map(|number| (number, number + 1)).collect::<Vec<_>>());
        assert_eq!(config.meter[0].calibrations().expect("sound"), vec![None; 6]);

        let other =
            "[[meter]]\nid = \"M2\"\ncertificate_file = \"a\"\nkey_file = \"b\"\ndevice = \"pzem-004t\"\nbus = \"main\"\naddress = 4\n";
        let p1 = "[[meter]]\nid = \"M2\"\ncertificate_file = \"a\"\nkey_file = \"b\"\ndevice = \"dsmr-p1\"\nbus = \"main\"\n";
        let relay = "[[meter.channel]]\nnumber = 2\n";
        for (sections, expected) in [
            (channel(1, 1), "meter M0001: address 1 is another module's on the same bus, too"),
            (format!("{six}\n{other}"), "meter M2: address 4 is another module's on the same bus, too"),
            (channel(1, 248), "meter M0001: address 248 asks whichever module is alone on the bus, and this one is not"),
            (channel(1, 0), "meter M0001: channel 1: address address 0 is not that of one device"),
            (channel(0, 2), "meter M0001: channel 0: address is the meter's own: leave it out here"),
            (
                format!("{}{relay}", channel(1, 2)),
                "meter M0001: channel 2: address is missing: each channel but 0 needs a module of its own",
            ),
            (channel(2, 3), "meter M0001: channel 1: address is missing: each channel but 0 needs a module of its own"),
            (
                "[[meter.channel]]\nnumber = 1\ncalibration_file = \"c\"\n".to_owned(),
                "meter M0001: channel 1: calibration_file needs an address: of which module is it?",
            ),
            (format!("{p1}{}", channel(1, 2)), "meter M2: channel 1: address needs device = \"pzem-004t\""),
        ] {
            let error = with(&sections).expect("valid").check().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error} is not {expected}");
        }
    }

    #[test]
    fn the_fingerprint_follows_the_configuration() {
        let (one, mut other) = (reference(), reference());
        assert_eq!(one.fingerprint(), other.fingerprint());
        other.report.power_w = 21.0;
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
