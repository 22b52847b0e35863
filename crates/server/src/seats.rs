//! Who may be connected at the same time: so many, and so many of one address.
//!
//! Owns: what counts as one address. Whoever has one of IPv6 has 2⁶⁴ of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Seats for connections.
#[derive(Debug)]
pub(crate) struct Seats {
    all: usize,
    of_one_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A seat; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    network: IpAddr,
}

impl Seats {
    pub(crate) fn new(all: usize, of_one_address: usize) -> Self {
        Self { all, of_one_address, taken: Mutex::default() }
    }

    /// A seat for a connection from there, where one is free.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network_of(address);
        let mut taken = self.lock();
        let own = taken.get(&network).copied().unwrap_or(0);
        if own >= self.of_one_address || taken.values().sum::<usize>() >= self.all {
            return None;
        }
        taken.insert(network, own + 1);
        Some(Seat { seats: Arc::clone(self), network })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        match taken.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.network)),
        }
    }
}

/// What counts as one address: one of IPv4, or a network of 64 bits of IPv6.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_does_not_get_all_seats_and_gives_them_back() {
        let seats = Arc::new(Seats::new(3, 2));
        let mut held = vec![seats.take(address("10.0.0.1")), seats.take(address("::ffff:10.0.0.1"))];
        assert!(held.iter().all(Option::is_some));
        assert!(seats.take(address("10.0.0.1")).is_none(), "two are one address's");
        held.push(seats.take(address("2001:db8::1")));
        assert!(held[2].is_some());
        assert!(seats.take(address("10.0.0.2")).is_none(), "three are all");
        held.clear();
        assert!(seats.lock().is_empty());
        assert!(seats.take(address("10.0.0.2")).is_some());
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let one = network_of(address("2001:db8:1:2:3:4:5:6"));
        assert_eq!(one, network_of(address("2001:db8:1:2:ffff::")));
        assert_ne!(one, network_of(address("2001:db8:1:3::")));
        assert_eq!(network_of(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }
}
