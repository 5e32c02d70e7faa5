//! From samples to snapshots: owners joined, rates, groups, differences. Pure: time comes in with the sample.
