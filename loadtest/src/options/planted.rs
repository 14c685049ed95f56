//! What is done wrong on purpose.

use clap::Args;

use crate::plant::Flaw;

/// Whether the oracle is to be shown something wrong.
#[derive(Debug, Args)]
pub(crate) struct Planted {
    /// Plant one flaw, to see that it is found
    #[arg(long, hide = true)]
    pub(crate) plant: Option<Flaw>,
}

/// The same where nothing but a connection can be lost.
#[derive(Debug, Args)]
pub(crate) struct PlantedLoss {
    /// Lose one connection, to see that it is found
    #[arg(long, hide = true)]
    pub(crate) plant_loss: bool,
}
