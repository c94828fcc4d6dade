// The mark that the kernel sets in the moment in which a link is made: its group.

/** The group of every link that tsnet makes ("ts"). `ip link show group 29811` lists them; our rules know them by it. */
export const LINK_GROUP = 0x7473;

/** The group of links that are being deleted ("tx"). */
export const REMOVAL_GROUP = 0x7478;

/** The group of all other links, which has no meaning. Of ours, those that have addresses of the host's own are in it. */
export const HOST_GROUP = 0;
