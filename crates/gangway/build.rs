//! Has the linker write where each function of the release binary lies, for the tests of what a request costs.
//!
//! The release binary has no symbols. A link map costs it nothing, and tells callgrind's addresses apart.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    // Tests measure the release binary alone, and other systems' linkers have other flags.
    if variable("PROFILE") != "release" || variable("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let out = variable("OUT_DIR");
    // `<profile>/build/<package>/out`: the map lies beside the binary, where `.ci/artifact` finds both.
    if let Some(beside) = Path::new(&out).ancestors().nth(3) {
        println!("cargo::rustc-link-arg-bins=-Wl,-Map={}", beside.join("gangway.map").display());
    }
}
