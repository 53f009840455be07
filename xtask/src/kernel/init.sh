#!/bin/busybox sh
# The first and only process tree of the emulated machine: runs the tests one by
# one. What people read goes to the console; the second serial port takes what
# xtask reads, undisturbed by the kernel's own messages: a first line that says that
# the kernel got as far as here, the names of the tests that failed, and a last line
# that says that all have run.

/bin/busybox mkdir -p /proc /sys /dev /run /tmp
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/bin HOME=/tmp

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
# As it is written, without carriage returns.
stty -F /dev/ttyS1 raw
stty -F /dev/ttyS2 raw
exec </dev/null
echo begun >/dev/ttyS1

for module in /modules/*; do
    insmod "$module" || echo "${module##*/}" >/dev/ttyS1
done
ip link set lo up

# The list has a line for each: the test's name and its arguments.
while read -r name arguments; do
    echo "---- $name $arguments"
    # Split into words on purpose.
    /tests/"$name" $arguments || echo "$name" >/dev/ttyS1
    echo "---- $name: $(cut -d. -f1 /proc/uptime) s after boot"
done </tests/list

if [ -n "$UPDATE_BUDGET" ]; then
    cat /tests/verifier-budget >/dev/ttyS2
fi
echo done >/dev/ttyS1
poweroff -f
