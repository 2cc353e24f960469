//! The `format`s of JSON Schema, as regular expressions that are strict enough for any validator.
//!
//! Formats are looser on paper than any grammar can say (the 29th of February needs the year, a leap second the time
//! zone), so these leave out what is valid only at times.

/// What a format asks for.
pub(super) enum Meaning {
    /// A string that matches.
    Pattern(&'static str),
    /// Nothing: validators ignore formats that JSON Schema does not define.
    Nothing,
    /// Something that is not expressed here.
    Unsupported,
}

macro_rules! date {
    () => {
        "[12][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    };
}

macro_rules! time {
    () => {
        r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-2]):[0-5][0-9])"
    };
}

macro_rules! host {
    () => {
        r"[a-z0-9](?:[a-z0-9]{0,30}[a-z0-9])?(?:\.[a-z](?:[a-z0-9]{0,30}[a-z0-9])?){1,4}"
    };
}

macro_rules! octet {
    () => {
        "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    };
}

/// The meaning of a format.
pub(super) fn meaning(name: &str) -> Meaning {
    Meaning::Pattern(match name {
        "date" => concat!("^(?:", date!(), ")$"),
        "time" => concat!("^(?:", time!(), ")$"),
        "date-time" => concat!("^(?:", date!(), ")T(?:", time!(), ")$"),
        "duration" => {
            "^P(?:[0-9]{1,4}W|(?:[0-9]{1,4}D|[0-9]{1,4}M(?:[0-9]{1,4}D)?|[0-9]{1,4}Y(?:[0-9]{1,4}M(?:[0-9]{1,4}D)?)?)(?:T[0-9]{1,4}H(?:[0-9]{1,4}M)?)?|T(?:[0-9]{1,4}H(?:[0-9]{1,4}M(?:[0-9]{1,4}S)?)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S))$"
        }
        "uuid" => "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        "email" => concat!(r"^[A-Za-z0-9_+-]{1,30}(?:\.[A-Za-z0-9_+-]{1,30}){0,1}@", host!(), "$"),
        "hostname" => concat!("^", host!(), "$"),
        "ipv4" => concat!("^", octet!(), r"(?:\.", octet!(), "){3}$"),
        "ipv6" => "^[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}$",
        "uri" | "iri" => {
            concat!("^(?:https?|ftp)://", host!(), r"(?:/[A-Za-z0-9._~-]{0,60}){0,8}(?:\?[A-Za-z0-9._~=&-]{0,120})?$")
        }
        "idn-email"
        | "idn-hostname"
        | "uri-reference"
        | "iri-reference"
        | "uri-template"
        | "json-pointer"
        | "relative-json-pointer"
        | "regex" => return Meaning::Unsupported,
        _ => return Meaning::Nothing,
    })
}
