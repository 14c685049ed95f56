//! Who comes and when: the passengers that the flags stand for.

use anyhow::bail;
use fastrand::Rng;
use signalbox_protocol::fleet::NewPassenger;

use super::SeedArgs;
use crate::cli::world::{Crowd, Curve, Ground, Network, Profile, exactly, poisson};

/// Most passengers of one run, by chance or by order.
const PASSENGERS_MAX: f64 = 1_000_000.0;

/// Everything that is known before anybody is pushed.
#[derive(Debug)]
pub(super) struct Plan {
    grounds: Vec<Ground>,
    profile: Profile,
    curve: Curve,
    count: Option<usize>,
    seed: u64,
}

impl Plan {
    pub(super) fn new(args: &SeedArgs, network: &Network) -> anyhow::Result<Self> {
        let grounds = grounds(args, network)?;
        let per_hour = args.rate * grounds.len() as f64;
        let curve = Curve::new(args.profile, args.day, (args.start_hour, args.end_hour), per_hour);
        if args.count.is_none() && curve.total() > PASSENGERS_MAX {
            bail!("that makes {:.0} passengers: at most {PASSENGERS_MAX} at a time", curve.total());
        }
        let count = args.count.map(|count| count as usize);
        Ok(Self { grounds, profile: args.profile, curve, count, seed: args.seed })
    }

    /// All passengers with the second of the day in which they come, in that order. A later `round` has the
    /// same passengers under other ids.
    pub(super) fn arrivals(&self, round: u32) -> anyhow::Result<Vec<(f64, NewPassenger)>> {
        let mut rng = Rng::with_seed(self.seed);
        let seconds = match self.count {
            Some(count) => exactly(&self.curve, count, &mut rng),
            None => poisson(&self.curve, &mut rng),
        };
        let crowd = Crowd::new(self.grounds.clone(), self.profile, self.label(round));
        let numbered = seconds.into_iter().enumerate();
        numbered.map(|(number, second)| Ok((second, crowd.passenger(number, None, &mut rng)?))).collect()
    }

    /// What the ids of a round begin with.
    pub(super) fn label(&self, round: u32) -> String {
        if round == 0 { format!("s{}", self.seed) } else { format!("s{}.{round}", self.seed) }
    }

    /// Whether an id is one that some round of this seed may have given.
    pub(super) fn is_of_this_seed(&self, id: &str) -> bool {
        let rest = id.strip_prefix(&self.label(0));
        rest.is_some_and(|rest| rest.starts_with(['-', '.']))
    }

    /// The pools that are filled.
    pub(super) fn grounds(&self) -> &[Ground] {
        &self.grounds
    }
}

fn grounds(args: &SeedArgs, network: &Network) -> anyhow::Result<Vec<Ground>> {
    let mut grounds = Vec::new();
    for id in &args.routes {
        grounds.push(Ground::Route(network.route(id)?));
    }
    for id in &args.depots {
        let depot = network.depot(id)?;
        let lines = network.lines_from(&depot);
        grounds.push(Ground::Depot { pool: depot.pool, position: depot.position, lines });
    }
    Ok(grounds)
}

/// A second of the day as `08:15:30`.
pub(super) fn clock(second: f64) -> String {
    let second = second as u64;
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        seed: SeedArgs,
    }

    fn plan(line: &str) -> anyhow::Result<Plan> {
        let line = Line::try_parse_from(std::iter::once("seed").chain(line.split_whitespace()))?;
        super::super::plan(&line.seed)
    }

    #[test]
    fn a_plan_repeats_and_another_seed_is_another_plan() {
        let same = || plan("--route 12 --depot 4 --count 500 --seed 9").unwrap();
        let (one, two) = (same().arrivals(0).unwrap(), same().arrivals(0).unwrap());
        assert_eq!((one.len(), &one), (500, &two));
        let ids: HashSet<_> = one.iter().map(|(_, passenger)| passenger.passenger_id.clone()).collect();
        assert_eq!(ids.len(), 500, "each has an id of its own");
        let other = plan("--route 12 --depot 4 --count 500 --seed 10").unwrap().arrivals(0).unwrap();
        assert!(one.iter().zip(&other).all(|(a, b)| a.1.position != b.1.position));
    }

    #[test]
    fn a_round_has_the_same_passengers_under_other_ids() {
        let plan = plan("--route 40 --count 3 --seed 1").unwrap();
        let (first, second) = (plan.arrivals(0).unwrap(), plan.arrivals(1).unwrap());
        assert_eq!(first[2].1.passenger_id.as_str(), "s1-r40-00002");
        assert_eq!(second[2].1.passenger_id.as_str(), "s1.1-r40-00002");
        assert_eq!((first[2].0, first[2].1.position), (second[2].0, second[2].1.position));
        for (id, of_this) in
            [("s1-r40-00002", true), ("s1.7-d4-1", true), ("s12-r40-00002", false), ("COM_1", false)]
        {
            assert_eq!(plan.is_of_this_seed(id), of_this, "{id}");
        }
    }

    #[test]
    fn the_hours_of_the_day_are_kept() {
        let plan =
            plan("--route 12 --day sat --start-hour 7 --end-hour 9 --type morning --rate 500").unwrap();
        let arrivals = plan.arrivals(0).unwrap();
        // 500 an hour, six tenths of them on a Saturday, at two hours of weight 1.
        assert!((500..700).contains(&arrivals.len()), "{}", arrivals.len());
        assert!(arrivals.iter().all(|(second, _)| (7.0 * 3_600.0..9.0 * 3_600.0).contains(second)));
        assert_eq!(clock(8.5 * 3_600.0 + 7.9), "08:30:07");
    }

    #[test]
    fn what_can_t_be_planned_is_refused() {
        for line in [
            "--count 3",
            "--route 13",
            "--depot 12",
            "--route 12 --start-hour 9 --end-hour 9",
            "--route 12 --end-hour 25",
            "--route 12 --start-hour -1",
            "--route 12 --day someday",
            "--route 12 --type sometimes",
            "--route 12 --count 0",
            "--route 12 --rate 0",
            "--route 12 --rate NaN",
            "--route 12 --rate 1000000",
            "--route 12 --speed 0",
            "--route 12 --expires-in soon",
            "--route 12 --geojson /nowhere/at/all.json",
        ] {
            plan(line).expect_err(line);
        }
    }
}
