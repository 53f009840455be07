//! Names of interfaces that Windows and Configuration Manager use, for people.

use sccm_common::rpc::{Uuid, interface};

const NAMES: &[(u128, &str)] = &[
    (0x12345678_1234_abcd_ef00_0123456789ab, "print spooler"),
    (0x12345678_1234_abcd_ef00_01234567cffb, "NETLOGON"),
    (0x12345778_1234_abcd_ef00_0123456789ab, "LSA"),
    (0x12345778_1234_abcd_ef00_0123456789ac, "SAM"),
    (0x1ff70682_0a51_30e8_076d_740be8cee98b, "task scheduler"),
    (0x338cd001_2244_31f1_aaaa_900038001003, "registry"),
    (0x367abb81_9844_35f1_ad32_98f038001003, "service control"),
    (
        0x3919286a_b10c_11d0_9ba8_00c04fd92ef5,
        "LSA, directory setup",
    ),
    (0x378e52b0_c0a9_11cf_822d_00aa0051e40f, "task scheduler, SA"),
    (0x4b324fc8_1670_01d3_1278_5a47bf6ee188, "server service"),
    (0x50abc2a4_574d_40b3_9d66_ee4fd5fba076, "DNS server"),
    (0x5ca4a760_ebb1_11cf_8611_00a0245420ed, "terminal server"),
    (
        0x6bffd098_a112_3610_9833_46c3f87e345a,
        "workstation service",
    ),
    (0x6bffd098_a112_3610_9833_012892020162, "browser"),
    (0x6bffd098_a112_3610_9833_46c3f874532d, "DHCP server"),
    (0x82273fdc_e32a_18c3_3f78_827929dc23ea, "event log"),
    (0x86d35949_83c9_4044_b424_db363231fd0c, "task scheduler, TS"),
    (0x897e2e5f_93f3_4376_9c9c_fd2277495c27, "DFS replication"),
    (0x8fb6d884_2388_11d0_8c35_00c04fda2795, "time service"),
    (
        0x91ae6020_9e3c_11cf_8d7c_00aa00c091be,
        "certificate enrolment",
    ),
    (0x9556dc99_828c_11cf_a37e_00aa003240c7, "WMI services"),
    (0xa4f1db00_ca47_1067_b31f_00dd010662da, "Exchange store"),
    (
        0xe3514235_4b06_11d1_ab04_00c04fc2dcd2,
        "directory replication",
    ),
    (0xf309ad18_d86a_11d0_a075_00c04fb68820, "WMI log-on"),
    (0xf5cc59b4_4264_101a_8c59_08002b2f8426, "file replication"),
    (0xf5cc5a18_4264_101a_8c59_08002b2f8426, "Exchange directory"),
    (0xf6beaff7_1e19_4fbb_9f8f_b89e2018337c, "event log, 6.0"),
    (interface::ACTIVATOR.0, "DCOM activation"),
    (interface::LEGACY_ACTIVATION.0, "DCOM activation, first"),
    (interface::RESOLVER.0, "DCOM resolver"),
];

/// What an interface is called, if it is known.
#[must_use]
pub fn name_of(interface: Uuid) -> Option<&'static str> {
    let known = NAMES.iter().find(|(uuid, _)| Uuid(*uuid) == interface);
    known.map(|(_, name)| *name)
}
