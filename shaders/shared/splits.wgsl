// How attention of one token cuts the context; as `splits` of engine/src/kernel/attend.rs.

// The first position that a token sees.
fn first_visible(position: u32, window: u32) -> u32 {
    if (window > 0u && position >= window) { return position + 1u - window; }
    return 0u;
}

// Into how many pieces so many visible positions are cut.
fn splits_of(visible: u32, split_keys: u32, splits_max: u32) -> u32 {
    return clamp(visible / split_keys, 1u, splits_max);
}
