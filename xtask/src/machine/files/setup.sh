# Run in the root of the machine, which does not run yet.
set -eu
systemctl --quiet enable systemd-networkd /test/shell.service
# Nothing that takes the emulator's time and has no part in the test.
systemctl --quiet mask e2scrub_reap.service getty.target getty-static.service systemd-timesyncd.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
    systemd-networkd-wait-online.service serial-getty@ttyS0.service
# All of Debian's packages: apt takes half a minute to read what nobody asks for.
rm -rf /var/lib/apt/lists/*
mkdir -p /var/log/journal
card() {
    printf '[Match]\nMACAddress=%s\n[Link]\nName=%s\n' "$2" "$1" > "/etc/systemd/network/10-$1.link"
    printf '[Match]\nMACAddress=%s\n[Network]\nAddress=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
        "$2" "$3" > "/etc/systemd/network/10-$1.network"
}
card outside 52:54:00:00:00:01 192.0.2.1/24
card inside 52:54:00:00:00:02 198.51.100.1/24
echo net.ipv4.ip_forward=1 > /etc/sysctl.d/90-gateway.conf
