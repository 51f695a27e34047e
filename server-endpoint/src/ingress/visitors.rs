//! Who is here: connections and held requests, counted by whose they are.
//!
//! On the data's way: at its very start, where central meets whoever calls. Room is never refused to a
//! newcomer; at a bound the one that has been here longest gives way, because that is the one that stands
//! still: half a handshake, a header that drips, a connection whose other end went away without a word.
//! So nobody keeps others out by merely holding on (P8).

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Those who are here, by whose they are.
#[derive(Debug)]
pub(super) struct Visitors<K> {
    present: Mutex<Present<K>>,
    of_one: usize,
    of_all: usize,
}

#[derive(Debug)]
struct Present<K> {
    next: u64,
    /// In the order in which they came; nobody who has none is here.
    by: HashMap<K, BTreeMap<u64, CancellationToken>>,
    count: usize,
}

/// One of them, until dropped.
pub(super) struct Visit<K: Copy + Eq + Hash> {
    visitors: Arc<Visitors<K>>,
    key: K,
    id: u64,
    leave: CancellationToken,
}

impl<K: Copy + Eq + Hash> Visitors<K> {
    /// Room for so many of one, and of all together.
    pub(super) fn new(of_one: usize, of_all: usize) -> Arc<Self> {
        let present = Present {
            next: 0,
            by: HashMap::new(),
            count: 0,
        };
        Arc::new(Self {
            present: Mutex::new(present),
            of_one,
            of_all,
        })
    }

    /// Comes in. At the bound of one, its oldest leaves; at that of all, the oldest of whoever has most,
    /// and where several have most, of them the one that has been here longest.
    pub(super) fn enter(self: &Arc<Self>, key: K) -> Visit<K> {
        let leave = CancellationToken::new();
        let mut present = self.lock();
        let id = present.next;
        present.next += 1;
        present.count += 1;
        let own = present.by.entry(key).or_default();
        own.insert(id, leave.clone());
        if own.len() > self.of_one {
            present.dismiss_oldest(key);
        }
        if present.count > self.of_all {
            let most = present
                .by
                .iter()
                .max_by_key(|(_, own)| (own.len(), Reverse(own.keys().next().copied())));
            if let Some(key) = most.map(|(key, _)| *key) {
                present.dismiss_oldest(key);
            }
        }
        drop(present);
        Visit {
            visitors: self.clone(),
            key,
            id,
            leave,
        }
    }

    /// Asks all of this one to leave.
    pub(super) fn dismiss(&self, key: K) {
        let mut present = self.lock();
        let own = present.by.remove(&key).unwrap_or_default();
        present.count -= own.len();
        for leave in own.into_values() {
            leave.cancel();
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, Present<K>> {
        // Nothing in here can panic half-way.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Present<K> {
    fn dismiss_oldest(&mut self, key: K) {
        let oldest = self.by.get(&key).and_then(|own| own.keys().next().copied());
        if let Some(leave) = oldest.and_then(|id| self.remove(key, id)) {
            leave.cancel();
        }
    }

    fn remove(&mut self, key: K, id: u64) -> Option<CancellationToken> {
        let own = self.by.get_mut(&key)?;
        let leave = own.remove(&id)?;
        if own.is_empty() {
            self.by.remove(&key);
        }
        self.count -= 1;
        Some(leave)
    }
}

impl<K: Copy + Eq + Hash> Visit<K> {
    /// Resolves when this one has to leave.
    pub(super) async fn dismissed(&self) {
        self.leave.cancelled().await;
    }
}

impl<K: Copy + Eq + Hash> Drop for Visit<K> {
    fn drop(&mut self) {
        self.visitors.lock().remove(self.key, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaving(visits: &[&Visit<u8>]) -> Vec<bool> {
        visits
            .iter()
            .map(|visit| visit.leave.is_cancelled())
            .collect()
    }

    #[test]
    fn p8_the_oldest_of_one_gives_way_to_its_next() {
        let visitors = Visitors::new(2, 100);
        let [first, second, other] = [1, 1, 2].map(|key| visitors.enter(key));
        assert_eq!(leaving(&[&first, &second, &other]), [false; 3]);
        let third = visitors.enter(1);
        assert_eq!(
            leaving(&[&first, &second, &third, &other]),
            [true, false, false, false]
        );
        // One that was asked to leave is not counted again when it goes.
        drop(first);
        assert_eq!(visitors.count(), 3);
        drop((second, third, other));
        assert_eq!(visitors.count(), 0);
        assert!(visitors.lock().by.is_empty());
    }

    #[test]
    fn p8_whoever_has_most_gives_way_when_all_is_full() {
        let visitors = Visitors::new(10, 4);
        let many = [1, 1, 1].map(|key| visitors.enter(key));
        let few = visitors.enter(2);
        let newcomer = visitors.enter(3);
        assert_eq!(
            leaving(&[&many[0], &many[1], &many[2], &few, &newcomer]),
            [true, false, false, false, false]
        );
        assert_eq!(visitors.count(), 4);
    }

    #[test]
    fn p8_a_crowd_from_everywhere_never_dismisses_the_newcomer() {
        let visitors = Visitors::new(10, 50);
        let crowd: Vec<_> = (0..50).map(|key| visitors.enter(key)).collect();
        for place in 0..20 {
            let newcomer = visitors.enter(200);
            assert!(!newcomer.leave.is_cancelled(), "{place}");
            let leaving = crowd.iter().filter(|visit| visit.leave.is_cancelled());
            assert_eq!(leaving.count(), (place + 1).min(1), "{place}");
        }
        let newcomers: Vec<_> = (100..120).map(|key| visitors.enter(key)).collect();
        let crowd: Vec<&Visit<u8>> = crowd.iter().collect();
        assert_eq!(leaving(&crowd)[..20], [true; 20]);
        assert_eq!(leaving(&crowd)[20..], [false; 30]);
        drop(newcomers);
    }

    #[test]
    fn all_of_one_can_be_dismissed() {
        let visitors = Visitors::new(10, 10);
        let visits = [1, 1, 2].map(|key| visitors.enter(key));
        visitors.dismiss(1);
        assert_eq!(
            leaving(&[&visits[0], &visits[1], &visits[2]]),
            [true, true, false]
        );
        drop(visits);
        assert_eq!(visitors.count(), 0);
    }
}
