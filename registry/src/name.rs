//! Texts for Redis, written in one allocation.

/// Bytes that most names and rows have room in.
pub(crate) const NAME_BYTES: usize = 112;

/// `format!` for keys, channels and rows: a text that grows as it is written is moved three or four times.
macro_rules! name {
    ($($what:tt)*) => {{
        let mut name = String::with_capacity($crate::name::NAME_BYTES);
        // Writing into a string can't fail.
        let _ = std::fmt::Write::write_fmt(&mut name, format_args!($($what)*));
        name
    }};
}
