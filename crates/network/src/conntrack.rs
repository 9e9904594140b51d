//! Connection tracking entries that outlive the rule that made them.
