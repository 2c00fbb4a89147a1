//! Makes the release binary smaller on x86-64 Linux: it aborts on a panic, so tables for unwinding are dead weight, and
//! relocations fit into a tenth of their room in the packed form (glibc 2.36, binutils 2.38 or lld).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind.ld");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let supported = is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu");
    // Tests unwind: theirs is the debug profile.
    if supported && is("PROFILE", "release") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bin=pillarbox=-Wl,-T,{folder}/no-unwind.ld");
        println!("cargo::rustc-link-arg-bin=pillarbox=-Wl,-z,pack-relative-relocs");
    }
}
