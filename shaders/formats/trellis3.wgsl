// The trellis with 3 bits a weight: see `shared/trellis.wgsl`.
//#import formats/shared/trellis.wgsl
const BITS = 3u;
