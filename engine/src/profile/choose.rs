//! From what there is to what is used: a pure function.

use crate::{
    Error, Result,
    protocol::{AdapterReport, DeviceChoice},
};

/// A device, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The adapter's index, or None for the CPU.
    pub adapter: Option<usize>,
    /// In words for a person.
    pub reason: String,
}

/// Chooses among the adapters, best first, and the CPU.
pub fn choose(wanted: DeviceChoice, adapters: &[AdapterReport], absence: &str) -> Result<Choice> {
    let real = adapters.iter().position(|adapter| !adapter.is_software);
    let choice = |adapter, reason: String| Ok(Choice { adapter, reason });
    match (wanted, real, adapters.first()) {
        (DeviceChoice::Cpu, _, _) => choice(None, "the CPU was asked for".into()),
        (DeviceChoice::Auto, Some(index), _) => choice(Some(index), format!("{} is a real GPU", adapters[index].name)),
        (DeviceChoice::Auto, None, Some(software)) => {
            choice(None, format!("{} only plays a GPU in software; the CPU itself is faster", software.name))
        }
        (DeviceChoice::Auto, None, None) => choice(None, format!("there is no GPU to use: {absence}")),
        (DeviceChoice::Gpu, Some(index), _) => choice(Some(index), "the GPU was asked for".into()),
        (DeviceChoice::Gpu, None, Some(software)) => {
            choice(Some(0), format!("a GPU was asked for, and {} plays one in software", software.name))
        }
        (DeviceChoice::Gpu, None, None) => Err(Error::NoDevice { wanted: "GPU".into(), reason: absence.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, is_software: bool) -> AdapterReport {
        AdapterReport { name: name.into(), is_software, ..AdapterReport::default() }
    }

    #[test]
    fn a_real_gpu_is_taken_and_a_played_one_only_on_request() {
        let real = adapter("real", false);
        let played = adapter("played", true);
        let taken = |wanted, adapters: &[AdapterReport]| choose(wanted, adapters, "none").map(|choice| choice.adapter);
        assert_eq!(taken(DeviceChoice::Auto, &[real.clone(), played.clone()]), Ok(Some(0)));
        assert_eq!(taken(DeviceChoice::Auto, &[played.clone(), real.clone()]), Ok(Some(1)));
        assert_eq!(taken(DeviceChoice::Auto, std::slice::from_ref(&played)), Ok(None));
        assert_eq!(taken(DeviceChoice::Auto, &[]), Ok(None));
        assert_eq!(taken(DeviceChoice::Gpu, &[played]), Ok(Some(0)));
        assert_eq!(taken(DeviceChoice::Cpu, &[real]), Ok(None));
        assert!(taken(DeviceChoice::Gpu, &[]).is_err());
    }
}
