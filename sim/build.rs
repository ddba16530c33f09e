//! Fails where `cargo sim` would silently run nothing: a `RUSTFLAGS` variable overrides the alias's flag.

fn main() {
    println!("cargo::rerun-if-env-changed=SIM_ALIAS");
    let (alias, simulated) = (std::env::var_os("SIM_ALIAS"), std::env::var_os("CARGO_CFG_MADSIM"));
    assert!(
        alias.is_none() || simulated.is_some(),
        "cargo sim sets --cfg madsim, and something overrides it: unset RUSTFLAGS and CARGO_ENCODED_RUSTFLAGS"
    );
}
