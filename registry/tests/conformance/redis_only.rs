//! What only a server that can fail has to keep.
