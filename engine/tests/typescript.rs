//! Writes the protocol's types down for the user interface, and fails when `ui/src/link/protocol.gen.ts` says
//! something else than `engine/src/protocol`. `HEARTH_BLESS=1` renews the file.
#![cfg(feature = "typescript")]

use std::{collections::BTreeMap, path::PathBuf};

use hearth_engine::protocol::{EventEnvelope, RequestEnvelope, VERSION};
use ts_rs::{Config, TS, TypeVisitor};

/// The declarations found so far, by name: ts-rs visits a type's fields in another order each time it is compiled.
struct Declarations<'a> {
    config: &'a Config,
    by_name: BTreeMap<String, String>,
}

impl TypeVisitor for Declarations<'_> {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // Types without a file of their own are TypeScript's own: number, string, arrays.
        if T::output_path().is_none() {
            return;
        }
        let name = T::ident(self.config);
        if self.by_name.contains_key(&name) {
            return;
        }
        let docs = T::docs().unwrap_or_default();
        self.by_name.insert(name, format!("\n{docs}export {}\n", T::decl(self.config)));
        T::visit_dependencies(self);
    }
}

fn declarations() -> String {
    let config = Config::new();
    let mut found = Declarations { config: &config, by_name: BTreeMap::new() };
    found.visit::<RequestEnvelope>();
    found.visit::<EventEnvelope>();
    // ts-rs leaves spaces at the ends of lines.
    let text: String = found.by_name.into_values().collect();
    let types: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!(
        "// Generated from engine/src/protocol by engine/tests/typescript.rs; HEARTH_BLESS=1 renews it.\n\n\
         /** The protocol's version; a client and an engine that differ in it refuse each other. */\n\
         export const PROTOCOL_VERSION = {VERSION};\n{}\n",
        types.join("\n")
    )
}

fn generated_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ui/src/link/protocol.gen.ts")
}

#[test]
fn typescript_says_what_the_protocol_says() {
    let wanted = declarations();
    let path = generated_file();
    if std::env::var_os("HEARTH_BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
    }
    let found = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()));
    assert!(
        found == wanted,
        "{} is not what engine/src/protocol says; renew it with\n  \
         HEARTH_BLESS=1 cargo test -p hearth-engine --features typescript --test typescript\nwanted:\n{wanted}",
        path.display()
    );
}
