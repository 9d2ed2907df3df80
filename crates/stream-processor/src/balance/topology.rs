//! Which meter hangs on which pole of which feeder: read from TOML, and refused with the place and the reason if it can't be so.

use std::collections::HashSet;

use contracts::topology::Phase;
use contracts::{FeederRecord, HouseRecord};
use measure::{FeederId, MeterId};
use serde::{Deserialize, Serialize};

/// Houses of a feeder: the state of [`super::drop`] grows with the square.
pub const HOUSES_MAX: usize = 256;
/// Poles of a feeder, and characters of a pole's name.
const POLES_MAX: usize = 256;
const POLE_NAME_MAX: usize = 32;
const FEEDERS_MAX: usize = 10_000;
/// Accuracy classes in percent: of IEC 62053-21 and -22, and somewhat beyond.
const CLASS_MAX: f64 = 5.0;
const OHM_MAX: f64 = 10.0;
/// Of a low-voltage service, in W.
const CONTRACT_MAX: f64 = 1e6;

/// What a file says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Its feeders.
    #[serde(rename = "feeder")]
    pub feeders: Vec<Feeder>,
}

/// A low-voltage line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feeder {
    /// Its name.
    pub id: FeederId,
    /// The meter where it begins.
    pub line_meter: MeterId,
    /// Accuracy class of that, in percent.
    #[serde(default = "class_1")]
    pub line_class: f64,
    /// Its poles, from the transformer on.
    pub poles: Vec<String>,
    /// Its houses.
    #[serde(rename = "house")]
    pub houses: Vec<House>,
}

/// A house with its meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct House {
    /// Its meter.
    pub meter: MeterId,
    /// The pole that it hangs on.
    pub pole: String,
    /// Accuracy class of the meter, in percent.
    #[serde(default = "class_1")]
    pub class: f64,
    /// A meter at the pole, before the service, for [`super::pair`].
    #[serde(default)]
    pub line_side: Option<MeterId>,
    /// Resistance of the service's loop, both conductors, in ohm; what the service loses, for [`super::pair`].
    #[serde(default)]
    pub loop_ohm: Option<f64>,
    /// Power that the contract allows, in W.
    #[serde(default)]
    pub contract_power_w: Option<f64>,
    /// The phase that it is on, for [`super::unbalance`].
    #[serde(default)]
    pub phase: Option<Phase>,
}

const fn class_1() -> f64 {
    1.0
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum TopologyError {
    /// Not TOML, or not these fields; the text names line and column.
    #[error("topology: {0}")]
    Syntax(String),
    /// It can't be so.
    #[error("topology, feeder {feeder}: {what}")]
    Feeder {
        /// Where.
        feeder: FeederId,
        /// What is wrong and what to do.
        what: String,
    },
    /// There is too much of it.
    #[error("topology: {0} feeders, at most {FEEDERS_MAX}: split the file")]
    TooMany(usize),
}

impl Topology {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, TopologyError> {
        let topology: Self = toml::from_str(text).map_err(|error| TopologyError::Syntax(error.to_string()))?;
        topology.checked()
    }

    fn checked(self) -> Result<Self, TopologyError> {
        if self.feeders.len() > FEEDERS_MAX {
            return Err(TopologyError::TooMany(self.feeders.len()));
        }
        let (mut feeders, mut meters) = (HashSet::new(), HashSet::new());
        for feeder in &self.feeders {
            let fail = |what| TopologyError::Feeder { feeder: feeder.id.clone(), what };
            if !feeders.insert(&feeder.id) {
                return Err(fail("it is there twice: give each feeder an id of its own".to_owned()));
            }
            feeder.check().map_err(fail)?;
            if let Some(twice) = feeder.meters().find(|it| !meters.insert(*it)) {
                return Err(fail(format!("meter {twice} is there twice: a meter hangs in one place")));
            }
        }
        Ok(self)
    }
}

impl Feeder {
    /// From a record of the topology's topic, checked as a file is.
    pub fn of(record: FeederRecord) -> Result<Self, TopologyError> {
        let FeederRecord { id, line_meter, line_class, poles, houses } = record;
        let house = |it: HouseRecord| {
            let HouseRecord { meter, pole, class, line_side, loop_ohm, contract_power_w, phase } = it;
            House { meter, pole, class, line_side, loop_ohm, contract_power_w, phase }
        };
        let feeder = Self { id, line_meter, line_class, poles, houses: houses.into_iter().map(house).collect() };
        Topology { feeders: vec![feeder] }.checked()?.feeders.pop().ok_or(TopologyError::TooMany(0))
    }

    /// As a record of the topology's topic.
    pub fn record(&self) -> FeederRecord {
        let house = |it: &House| {
            let House { meter, pole, class, line_side, loop_ohm, contract_power_w, phase } = it.clone();
            HouseRecord { meter, pole, class, line_side, loop_ohm, contract_power_w, phase }
        };
        let Self { id, line_meter, line_class, poles, houses } = self.clone();
        FeederRecord { id, line_meter, line_class, poles, houses: houses.iter().map(house).collect() }
    }

    /// All meters of it: the line's, those of the houses, and those before them.
    pub fn meters(&self) -> impl Iterator<Item = &MeterId> {
        std::iter::once(&self.line_meter).chain(self.houses.iter().flat_map(|it| std::iter::once(&it.meter).chain(&it.line_side)))
    }

    /// The number of the pole of each house; for what [`Topology::parse`] accepted.
    pub fn pole_of_each_house(&self) -> Vec<usize> {
        let number = |house: &House| self.poles.iter().position(|it| *it == house.pole).unwrap_or_default();
        self.houses.iter().map(number).collect()
    }

    fn check(&self) -> Result<(), String> {
        let Self { houses, poles, .. } = self;
        if houses.is_empty() || houses.len() > HOUSES_MAX {
            return Err(format!("{} houses: 1 to {HOUSES_MAX} are possible", houses.len()));
        }
        if poles.len() > POLES_MAX {
            return Err(format!("{} poles, at most {POLES_MAX}", poles.len()));
        }
        if let Some(long) = poles.iter().find(|it| it.is_empty() || it.len() > POLE_NAME_MAX) {
            return Err(format!("pole {long:?}: a name has 1 to {POLE_NAME_MAX} bytes"));
        }
        if poles.iter().collect::<HashSet<_>>().len() < poles.len() {
            return Err("a pole is there twice: name each once, in their order from the transformer".to_owned());
        }
        class(self.line_class).map_err(|it| format!("line_class {it}"))?;
        for house in houses {
            let House { meter, pole, .. } = house;
            if !poles.contains(pole) {
                return Err(format!("house {meter} hangs on pole {pole:?}, which `poles` does not name"));
            }
            class(house.class).map_err(|it| format!("house {meter}, class {it}"))?;
            if let Some(ohm) = house.loop_ohm.filter(|it| !(0.0..=OHM_MAX).contains(it)) {
                return Err(format!("house {meter}, loop_ohm {ohm}: 0 to {OHM_MAX} ohm"));
            }
            if let Some(power) = house.contract_power_w.filter(|it| !(*it > 0.0 && *it <= CONTRACT_MAX)) {
                return Err(format!("house {meter}, contract_power_w {power}: more than 0, at most {CONTRACT_MAX} W"));
            }
            if house.line_side.is_some() && house.loop_ohm.is_none() {
                return Err(format!("house {meter} has a line-side meter and no loop_ohm: the pair's limit needs it"));
            }
        }
        Ok(())
    }
}

fn class(percent: f64) -> Result<(), String> {
    if (0.05..=CLASS_MAX).contains(&percent) { Ok(()) } else { Err(format!("{percent}: 0.05 to {CLASS_MAX} percent")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[feeder]]
        id = "F1"
        line_meter = "L1"
        poles = ["p1", "p2"]
        [[feeder.house]]
        meter = "M1"
        pole = "p1"
        [[feeder.house]]
        meter = "M2"
        pole = "p2"
        class = 2.0
        line_side = "S2"
        loop_ohm = 0.3
        phase = "L3"
    "#;

    #[test]
    fn a_file_is_read() {
        let topology = Topology::parse(FILE).unwrap();
        assert_eq!(topology.feeders[0].pole_of_each_house(), [0, 1]);
        assert_eq!(topology.feeders[0].houses[1].loop_ohm, Some(0.3));
        assert_eq!(topology.feeders[0].houses.iter().map(|it| it.phase).collect::<Vec<_>>(), [None, Some(Phase::L3)]);
    }

    #[test]
    fn a_record_leads_back_and_is_checked_like_a_file() {
        let feeder = Topology::parse(FILE).unwrap().feeders.remove(0);
        assert_eq!(Feeder::of(feeder.record()), Ok(feeder.clone()));
        let nobody = FeederRecord { houses: Vec::new(), ..feeder.record() };
        assert!(Feeder::of(nobody).unwrap_err().to_string().contains("0 houses"));
    }

    #[test]
    fn what_cannot_be_is_refused_and_says_what_and_where() {
        let cases = [
            ("pole = \"p2\"", "pole = \"p3\"", "house M2 hangs on pole \"p3\""),
            ("meter = \"M2\"", "meter = \"M1\"", "meter M1 is there twice"),
            ("[\"p1\", \"p2\"]", "[\"p1\", \"p1\"]", "a pole is there twice"),
            ("class = 2.0", "class = 20.0", "house M2, class 20"),
            ("loop_ohm = 0.3", "loop_ohm = nan", "loop_ohm NaN"),
            ("loop_ohm = 0.3", "", "no loop_ohm"),
            ("class = 2.0", "clas = 2.0", "unknown field `clas`"),
            ("class = 2.0", "contract_power_w = 0.0", "house M2, contract_power_w 0"),
            ("phase = \"L3\"", "phase = \"L4\"", "unknown variant `L4`"),
            ("id = \"F1\"", "id = \"F 1\"", "id = \"F 1\""),
        ];
        for (from, to, expected) in cases {
            let error = Topology::parse(&FILE.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }
}
