//! Which node to try next.

use fastrand::Rng;

/// The addresses of a cluster without a load balancer: shuffled, so that a fleet spreads itself, then in turn.
#[derive(Debug)]
pub(crate) struct Endpoints {
    urls: Vec<String>,
    next: usize,
}

impl Endpoints {
    pub(crate) fn new(mut urls: Vec<String>, rng: &mut Rng) -> Self {
        rng.shuffle(&mut urls);
        Self::in_order(urls)
    }

    /// Not shuffled.
    pub(crate) fn in_order(urls: Vec<String>) -> Self {
        Self { urls, next: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.urls.len()
    }

    /// The next address; after the last one the first again. An attempt that failed and a connection that ended
    /// are both a reason to go on.
    pub(crate) fn next(&mut self) -> &str {
        let at = self.next;
        self.next = (at + 1) % self.urls.len().max(1);
        self.urls.get(at).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn they_are_tried_in_turn_from_a_place_that_differs_from_client_to_client() {
        let urls: Vec<String> = (0..4).map(|number| format!("ws://node-{number}/ws")).collect();
        let mut firsts = BTreeSet::new();
        for seed in 0..100 {
            let mut endpoints = Endpoints::new(urls.clone(), &mut Rng::with_seed(seed));
            let round: Vec<_> = (0..4).map(|_| endpoints.next().to_owned()).collect();
            assert_eq!(round.iter().collect::<BTreeSet<_>>(), urls.iter().collect(), "each once");
            let again: Vec<_> = (0..4).map(|_| endpoints.next().to_owned()).collect();
            assert_eq!(round, again);
            firsts.insert(round[0].clone());
        }
        assert_eq!(firsts.len(), 4);
    }

    #[test]
    fn one_address_is_its_own_successor() {
        let mut endpoints = Endpoints::new(vec!["ws://h/ws".to_owned()], &mut Rng::new());
        assert_eq!([endpoints.next().to_owned(), endpoints.next().to_owned()], ["ws://h/ws"; 2]);
    }
}
