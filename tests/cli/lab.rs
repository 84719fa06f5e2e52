//! `hactl lab`, as far as it gets without a lab: what is asked for must make sense before anything is made.

use crate::sandbox::Sandbox;

const MACHINES: &str = "\
all:
  vars: {lab_provider: vm}
  hosts:
    gone: {ansible_host: 192.0.2.11, lab_image: images/gone.qcow2}
    folder: {ansible_host: 192.0.2.12, lab_image: images}
    home: {ansible_host: 192.0.2.13, lab_image: ~/gone.raw}
    number: {ansible_host: 192.0.2.14, lab_image: 12}
    grouped: {ansible_host: 192.0.2.15}
";

const CONTAINERS: &str = "\
all:
  hosts:
    plain: {ansible_host: 192.0.2.11}
    cloud: {ansible_host: 192.0.2.12, lab_image: image.qcow2}
";

#[test]
fn an_image_that_is_none_is_refused_with_its_place() {
    let mut sandbox = Sandbox::new();
    sandbox.file("lab/hosts.yml", MACHINES);
    sandbox.file(
        "lab/host_vars/grouped.yml",
        "lab_image: images/other.qcow2\n",
    );
    sandbox.file("lab/images/README.md", "none\n");
    sandbox.file("containers.yml", CONTAINERS);
    for arguments in [
        "lab up -i lab",
        "lab up -i containers.yml",
        "lab up -i containers.yml --limit plain --image image.qcow2",
        "lab up -i containers.yml --provider vm --limit plain --image image.qcow2",
        "lab up --provider vm --hosts a=192.0.2.1 --image lab",
    ] {
        sandbox.hactl(arguments);
    }
    sandbox.compare("lab-image");
}
