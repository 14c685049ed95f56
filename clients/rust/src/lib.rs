//! signalbox-client
