//! Tells bpf-linker that the kernel reads packet words at any offset
//! (`CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS`); without it each word of a header
//! is put together from single bytes.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=--cpu-features=+allows-misaligned-mem-access");
}
