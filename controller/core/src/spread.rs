//! Names spread evenly, each by itself: what others there are moves none.

/// A number from 0 to `parts` − 1 for `name`, the same in every run and every version: users' fleets lie
/// where it says.
pub(crate) fn spread(name: &str, parts: u64) -> u64 {
    // FNV-1a, with a last mix so that names which differ at the end only lie far apart.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 32) % parts
}
