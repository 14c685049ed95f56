//! The names of a run's vehicles, passengers and pools, which are numbers to the tester.

/// The names of a run. All are plain: nothing has to be escaped, in JSON or in a URL.
#[derive(Debug, Clone)]
pub(super) struct Names {
    run: String,
}

impl Names {
    pub(super) fn new(run: &str) -> Self {
        Self { run: run.to_owned() }
    }

    /// The id of a vehicle, as an agent as well.
    pub(super) fn vehicle(&self, number: u32) -> String {
        format!("{}-v{number}", self.run)
    }

    pub(super) fn passenger(&self, number: u32) -> String {
        format!("{}-p{number}", self.run)
    }

    /// Routes and depots in turn.
    pub(super) fn pool(&self, number: u32) -> String {
        let kind = if number.is_multiple_of(2) { "route" } else { "depot" };
        format!("{kind}:{}-{number}", self.run)
    }

    /// The number of a vehicle of this run.
    pub(super) fn vehicle_number(&self, id: &str) -> Option<u32> {
        self.number(id, "-v")
    }

    /// The number of a passenger of this run.
    pub(super) fn passenger_number(&self, id: &str) -> Option<u32> {
        self.number(id, "-p")
    }

    fn number(&self, id: &str, kind: &str) -> Option<u32> {
        id.strip_prefix(self.run.as_str())?.strip_prefix(kind)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let names = Names::new("run");
        assert_eq!(names.vehicle_number(&names.vehicle(17)), Some(17));
        assert_eq!(names.passenger_number(&names.passenger(0)), Some(0));
        assert_eq!((names.pool(2), names.pool(3)), ("route:run-2".to_owned(), "depot:run-3".to_owned()));
        assert_eq!(names.vehicle_number(&names.passenger(0)), None);
        assert_eq!(names.vehicle_number("other-v1"), None);
    }
}
