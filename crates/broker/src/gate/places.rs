//! Places for handshakes: so many in all, and so many from one address, so that one host alone can't keep everybody out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use crate::reason::Reason;
use crate::sync::lock;

/// Places for handshakes.
pub(crate) struct Places {
    taken: Mutex<Taken>,
    max: usize,
    max_per_address: usize,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place; given back when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// All free.
    pub(crate) fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), max, max_per_address })
    }

    /// A place for a connection from `address`, or why there is none.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Reason> {
        let address = network(address);
        let mut taken = lock(&self.taken);
        if taken.total >= self.max {
            return Err(Reason::Handshakes);
        }
        let count = taken.by_address.entry(address).or_default();
        if *count >= self.max_per_address {
            return Err(Reason::HandshakesPerAddress);
        }
        *count = count.saturating_add(1);
        taken.total = taken.total.saturating_add(1);
        Ok(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        taken.total = taken.total.saturating_sub(1);
        match taken.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(taken.by_address.remove(&self.address)),
        }
    }
}

/// What one host can choose freely counts as one address: in IPv6 the lower half of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_host_never_has_all_places() {
        let places = Places::new(4, 2);
        let take = |text: &str| places.take(address(text));
        let first = take("192.0.2.1").ok().unwrap();
        let second = take("::ffff:192.0.2.1").ok().unwrap();
        assert_eq!(take("192.0.2.1").err(), Some(Reason::HandshakesPerAddress));
        let (_a, _b) = (take("2001:db8::1").ok().unwrap(), take("2001:db8::2").ok().unwrap());
        assert_eq!(take("2001:db8:0:1::1").err(), Some(Reason::Handshakes));
        drop(first);
        assert_eq!(take("2001:db8::3").err(), Some(Reason::HandshakesPerAddress), "the lower half is the host's own choice");
        let third = take("192.0.2.1").ok().unwrap();
        drop((second, third));
        let taken = lock(&places.taken);
        assert_eq!((taken.total, taken.by_address.len()), (2, 1), "addresses without a handshake are forgotten");
    }
}
