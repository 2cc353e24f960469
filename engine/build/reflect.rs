//! Validates a linked shader and reads its bindings and its `Params` struct.

use std::fmt::Write as _;

use naga::{
    AddressSpace, Scalar, ScalarKind, StorageAccess, TypeInner,
    valid::{Capabilities, ValidationFlags, Validator},
};

/// What Rust must know of a shader.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Fields of `Params` in order, with their Rust types.
    params: Vec<(String, &'static str)>,
    /// For each storage binding from 2 on: whether it is written.
    bindings: Vec<bool>,
    workgroup_size: [u32; 3],
}

/// Validates the text and reads what Rust must know of it.
pub fn reflect(text: &str, what: &str) -> Kernel {
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|error| panic!("{what}:\n{}", error.emit_to_string_with_path(text, what)));
    let capabilities = Capabilities::default()
        | Capabilities::SUBGROUP
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32
        | Capabilities::SHADER_FLOAT16
        | Capabilities::COOPERATIVE_MATRIX;
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{what}:\n{}", error.emit_to_string_with_path(text, what)));
    let mut params = Vec::new();
    let mut storage = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        assert_eq!(binding.group, 0, "{what}: all bindings belong to group 0");
        match (variable.space, binding.binding) {
            (AddressSpace::Uniform, 0) => {}
            (AddressSpace::Uniform, 1) => params = fields(&module, variable.ty, what),
            (AddressSpace::Storage { access }, index) if index >= 2 => {
                storage.push((index, access.contains(StorageAccess::STORE)));
            }
            (space, index) => panic!("{what}: binding {index} in {space:?} is not in the convention"),
        }
    }
    assert!(!params.is_empty(), "{what}: no Params at binding 1");
    storage.sort_unstable();
    for (place, (index, _)) in storage.iter().enumerate() {
        assert_eq!(*index as usize, place + 2, "{what}: storage bindings run from 2 on without holes");
    }
    let entry = module.entry_points.first().unwrap_or_else(|| panic!("{what}: no entry point"));
    assert_eq!(entry.name, "main", "{what}: the entry point is called main");
    Kernel {
        params,
        bindings: storage.into_iter().map(|(_, written)| written).collect(),
        workgroup_size: entry.workgroup_size,
    }
}

fn fields(module: &naga::Module, ty: naga::Handle<naga::Type>, what: &str) -> Vec<(String, &'static str)> {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else { panic!("{what}: Params is a struct") };
    let mut fields = Vec::new();
    for (place, member) in members.iter().enumerate() {
        assert_eq!(member.offset as usize, place * 4, "{what}: Params holds 4-byte fields only");
        let rust = match module.types[member.ty].inner {
            TypeInner::Scalar(Scalar { kind: ScalarKind::Uint, width: 4 }) => "u32",
            TypeInner::Scalar(Scalar { kind: ScalarKind::Sint, width: 4 }) => "i32",
            TypeInner::Scalar(Scalar { kind: ScalarKind::Float, width: 4 }) => "f32",
            ref other => panic!("{what}: Params holds {other:?}"),
        };
        fields.push((member.name.clone().expect("WGSL names its members"), rust));
    }
    fields
}

impl Kernel {
    /// The module that `engine/src/kernel/` builds on.
    pub fn to_rust(&self, name: &str) -> String {
        let mut fields = String::new();
        for (field, ty) in &self.params {
            writeln!(fields, "        /// See the shader.\n        pub {field}: {ty},").expect("string");
        }
        let access: Vec<&str> =
            self.bindings.iter().map(|written| if *written { "Access::Write" } else { "Access::Read" }).collect();
        format!(
            "/// Reflected from `shaders/{name}.wgsl`.\npub mod {name} {{\n    use super::Access;\n\n\
             \x20   /// The shader's parameters.\n    #[repr(C)]\n    #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]\n    pub struct Params {{\n{fields}    }}\n\n\
             \x20   /// How each storage binding from 2 on is used.\n    pub const BINDINGS: &[Access] = &[{}];\n\n\
             \x20   /// Threads of a workgroup.\n    pub const WORKGROUP_SIZE: [u32; 3] = {:?};\n}}\n",
            access.join(", "),
            self.workgroup_size
        )
    }
}
