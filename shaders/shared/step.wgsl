// What changes from one replay of a plan to the next.
struct Step {
    position: u32,   // of the batch's first token in the context
    tokens: u32,     // in the batch
}
@group(0) @binding(0) var<uniform> step: Step;

// A dispatch is laid out in two dimensions where one would pass the limit of 65,535 workgroups.
fn flat_group(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + group.y * groups.x;
}
