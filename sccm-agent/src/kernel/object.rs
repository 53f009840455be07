//! The eBPF program, as the build script compiled it.
//!
//! Without the tools for that, `cargo check` and editors still work, but nothing can be built:
//! the panic below stops the compiler when it generates code. It is in a generic function,
//! because others are evaluated by `cargo check`, too.

/// The ELF object that holds the programs, their maps and their BTF.
#[cfg(not(sccm_no_ebpf))]
pub(crate) fn object() -> &'static [u8] {
    // The loader reads the object in place, which asks for alignment.
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sccm-ebpf"))
}

/// The ELF object that holds the programs: missing, so this does not compile.
#[cfg(sccm_no_ebpf)]
pub(crate) fn object() -> &'static [u8] {
    missing::<()>()
}

#[cfg(sccm_no_ebpf)]
#[expect(
    clippy::extra_unused_type_parameters,
    reason = "only a generic function is evaluated as late as code is generated"
)]
fn missing<T>() -> &'static [u8] {
    const {
        panic!(
            "the eBPF program is not built: run `cargo xtask setup`, then build again, or run \
             `cargo xtask test`"
        );
    }
}
