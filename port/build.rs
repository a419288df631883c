//! Compiles the BPF programs in `bpf/` with clang; the library embeds the objects.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const PROGRAMS: [&str; 4] = ["steer", "catch", "depart", "port"];

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    for program in PROGRAMS {
        compile(&clang, program, &out);
    }
}

fn compile(clang: &str, program: &str, out: &Path) {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    let little = env::var("CARGO_CFG_TARGET_ENDIAN").is_ok_and(|endian| endian == "little");
    let status = Command::new(clang)
        .args(["-target", if little { "bpfel" } else { "bpfeb" }])
        // Instruction set 3: Linux 5.1. Debug information becomes BTF, which describes the maps.
        .args(["-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        // Where Debian keeps <asm/types.h>; elsewhere it is in /usr/include.
        .arg("-idirafter")
        .arg(format!("/usr/include/{arch}-linux-gnu"))
        // No paths of the machine that builds.
        .args(["-fdebug-compilation-dir=.", "-c"])
        .arg(format!("bpf/{program}.c"))
        .arg("-o")
        .arg(out.join(program).with_extension("o"))
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(_) => fail(&format!("{clang} could not compile port/bpf/{program}.c: see its message above")),
        Err(error) => fail(&format!(
            "cannot run {clang}: {error} (clang compiles the BPF programs in port/bpf: `make setup` installs it, or name one by CLANG=...)"
        )),
    }
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
