//! signalbox-gateway
