//! The made-up world of `signalbox seed` and `signalbox fleet`: lines, stops, days and passengers.
//!
//! Pure values and functions. The same seed gives the same world: all chance comes from one generator that
//! is handed in, and no clock is asked.

mod arrivals;
mod crowd;
mod day;
mod geojson;
mod line;
mod network;

pub(super) use arrivals::{Curve, exactly, poisson, steady};
pub(super) use crowd::{Crowd, Ground};
pub(super) use day::{Day, Profile};
pub(super) use line::{Line, moved};
pub(super) use network::{Network, Route};
