//! What `bench-calls` is made of: a proxy in front of the local AWS that counts, list prices, and one story for each
//! row.

pub(crate) mod counts;
pub(crate) mod meter;
pub(crate) mod price;
pub(crate) mod proxy;
pub(crate) mod rows;
pub(crate) mod story;
pub(crate) mod table;
