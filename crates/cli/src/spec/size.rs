//! Flag types that are numbers with a unit.

use crate::flags::Value;
use crate::go;
use crate::units;

/// docker's `bytes`: `512m`.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) i64);

impl Value for Bytes {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.0 = units::ram_in_bytes(text)?;
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "bytes"
    }
}

/// `bytes`, or `-1` for no limit.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct SwapBytes(pub(crate) i64);

impl Value for SwapBytes {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.0 = if text == "-1" {
            -1
        } else {
            units::ram_in_bytes(text)?
        };
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "bytes"
    }
}

/// docker's `decimal`: CPUs, kept in billionths.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Cpus(pub(crate) i64);

impl Value for Cpus {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.0 = units::nano_cpus(text)?;
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "decimal"
    }
}

/// A Go duration, in nanoseconds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Duration(pub(crate) i64);

impl Value for Duration {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.0 = go::parse_duration(text)?;
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "duration"
    }

    fn default_text(&self) -> String {
        "0s".to_owned()
    }
}
