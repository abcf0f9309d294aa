// Package fleet is for programs that work on many hosts.
//
//	hosts, err := fleet.ParseHosts("web[01-30].example.com")
//	...
//	group, err := fleet.New(self, hosts, nil)
//	...
//	defer group.Close()
//	careful := group.With(fleet.Policy{Batches: []fleet.Share{{N: 1}, {Percent: 20}}, StopAbove: &fleet.Share{Percent: 10}})
//	results := fleet.Collect(fleet.Call(ctx, careful, restart, "nginx"))
//	for _, f := range results.Fold() {
//		fmt.Println(f.Hosts, f.Value, f.Err) // web[01-29].example.com active <nil>
//	}
//	return results.Err() // 1 of 30 hosts failed: web30.example.com: ...
//
// A [Group] is members with unique names, each a managed host that is connected by the first
// use. An operation on it ([Call], [Do], [Run]) yields the result of each member exactly
// once, as it comes, also of those that were never tried. The [Policy] of the group says how
// many are under way at once, which times bound them, when one is tried again, in which
// batches, and when so many have failed that the rest is left alone.
//
// Results fold, and have a stable form in JSON. [Where] makes groups of members by their
// results, such as those of facts.OfAll. Package copies has the files of groups, journal the
// record with which a run that was killed goes on, and inventory the hosts. [AskOnce] asks for
// a password that many hosts want. examples/rollout has all of these in one program.
//
// With a [Tree], members are reached by way of others, and start them; docs/fleet-tree.md of
// the project says how.
//
// # Host sets
//
// A [HostSet] is an ordered set of names, written as in ClusterShell, pdsh and Slurm:
//
//	web[01-30].example.com,db[1-3,7]!db2,@canary
//
// [ParseHosts] reads it. Its String, the folded form, is as short as it can be and is read
// back as the same set.
//
//	a,b       union, and so is a b with a space between
//	a!b       the names of a that are not in b; so are a,!b and a&!b
//	a&b       the names that are in both
//	a^b       the names that are in one of the two
//	n[1-3,7]  n1 n2 n3 n7
//	n[01-10]  n01 to n10, all with two digits
//	n[0-8/4]  n0 n4 n8
//	@web      the hosts of a group, as a [Groups] knows it; @rack[1-2] are two groups
//
// Operators have no precedence: they are evaluated from left to right. A name may hold
// several ranges, which gives all combinations. Brackets around an IPv6 address or the path
// of a device, as in ssh:[fe80::1]:22 and console:[/run/vm.sock], are part of the name. A
// backslash takes the special meaning from the character behind it:
// ssh:bastion\,web1 is one hop with a jump host.
package fleet
