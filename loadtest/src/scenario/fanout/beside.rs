//! The same on bare servers, before the nodes' turn, and what their figures make of the nodes'.

use std::time::Duration;

use super::{Broadcast, Crowd, broadcast, subscribers};
use crate::bare::{self, Manner};
use crate::meter::Spent;
use crate::observed::Timeline;
use crate::options::Fanout;
use crate::report::Report;

/// How long a bare server runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// What a bare server cost.
pub(super) struct Floor {
    manner: Manner,
    spent: Spent,
}

/// Measures each bare server that says something. At full speed a write for each delivery is no floor: a server that
/// collects what is due does better.
pub(super) async fn measure(options: &Fanout, report: &mut Report) -> anyhow::Result<Vec<Floor>> {
    let paced: &[Manner] = &[Manner::Write, Manner::Tungstenite];
    let manners = if options.full_speed { &[Manner::Tungstenite] } else { paced };
    let mut floors = Vec::new();
    for manner in manners.iter().copied() {
        let run = bare::beside(&options.servers, manner, async |cluster| {
            let crowd = Crowd::connect(cluster, subscribers(options)).await?;
            broadcast(
                crowd,
                options,
                Timeline::starting_now(WARM_UP, options.bare.bare_seconds),
                cluster,
                None,
            )
            .await
        });
        let Broadcast { observed, spent, paced } = run.await?;
        let observed = observed.borrow();
        if paced.is_ok() && observed.errors().is_none() && observed.findings(|_| 0).is_clean() {
            floors.push(Floor { manner, spent });
        } else {
            let name = manner.name();
            report.warning(format!("the bare server ({name}) lost some of its messages: not compared with"));
        }
    }
    Ok(floors)
}

/// Notes what the bare servers cost, and how much of that the nodes did.
pub(super) fn compare(floors: &[Floor], options: &Fanout, spent: &Spent, report: &mut Report) {
    for Floor { manner, spent: bare } in floors {
        let Some((ours, floor)) = spent.cpu_us_each().zip(bare.cpu_us_each()) else { continue };
        let name = manner.name();
        report.figure(format!("bare_{name}_us_per_delivery"), floor);
        match manner {
            Manner::Write => report.figure("cpu_per_delivery_in_bare_writes", ours / floor),
            Manner::Tungstenite => report.figure("cpu_per_delivery_in_bare_tungstenite", ours / floor),
        }
        if options.full_speed {
            report.figure(format!("bare_{name}_deliveries_per_second"), bare.rate());
            report.figure(format!("deliveries_in_bare_{name}"), spent.rate() / bare.rate());
        }
    }
}
