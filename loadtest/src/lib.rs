//! signalbox-load
