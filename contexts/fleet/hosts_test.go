package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// lists are groups in a test.
type lists map[string][]string

func (l lists) Group(name string) (HostSet, error) {
	if names, ok := l[name]; ok {
		return NewHosts(names...), nil
	}
	return HostSet{}, ErrNoGroup
}

func TestParseHosts(t *testing.T) {
	groups := lists{"canary": {"web7", "new1"}, "rack1": {"r1"}, "rack2": {"r2", "web7"}, "*": {"all1", "all2"}, "empty": nil}
	for text, want := range map[string]string{
		"":                           "",
		"  ":                         "",
		"web1":                       "web1",
		"web[1-3]":                   "web1 web2 web3",
		"web[3,1-2]":                 "web3 web1 web2",
		"web[01-03].example.com":     "web01.example.com web02.example.com web03.example.com",
		"web[8-11]":                  "web8 web9 web10 web11",
		"web[08-11]":                 "web08 web09 web10 web11",
		"web[098-101]":               "web098 web099 web100 web101",
		"n[0-8/4]":                   "n0 n4 n8",
		"n[0-9/4]":                   "n0 n4 n8",
		"n[00-10/5]":                 "n00 n05 n10",
		"n[5]":                       "n5",
		"n[1-2,01-02]":               "n1 n2 n01 n02",
		"n[ 1 - 2 , 5 ]":             "n1 n2 n5",
		"[1-3]":                      "1 2 3",
		"r[1-2]n[1-2]":               "r1n1 r1n2 r2n1 r2n2",
		"r[1-2][3-4]":                "r13 r14 r23 r24",
		"a,b,a":                      "a b",
		"a b\tc\nd":                  "a b c d",
		" a , b ! a ":                "b",
		"web[1-5]!web2":              "web1 web3 web4 web5",
		"web[1-5],!web2":             "web1 web3 web4 web5",
		"web[1-5]&!web2":             "web1 web3 web4 web5",
		"web[1-5]&web[4-9]":          "web4 web5",
		"web[1-3]^web[2-5]":          "web1 web4 web5",
		"a[1-3]^a[2,2]":              "a1 a3",
		"a,b!b,b":                    "a b",
		"a!a&a,c":                    "c",
		"db[1-3,7]&!db2,@canary":     "db1 db3 db7 web7 new1",
		"@rack[1-2]":                 "r1 r2 web7",
		"@*!all1":                    "all2",
		"@empty":                     "",
		"deploy@web[1-2]:2222":       "deploy@web1:2222 deploy@web2:2222",
		"ssh:bastion/ssh:web[1-2]":   "ssh:bastion/ssh:web1 ssh:bastion/ssh:web2",
		`ssh:bastion\,web[1-2]/sudo`: "ssh:bastion,web1/sudo ssh:bastion,web2/sudo",
		"ssh:[fe80::1]:22":           "ssh:[fe80::1]:22",
		"fe80::[1-2]":                "fe80::1 fe80::2",
		"console:[/run/a,b.sock]":    "console:[/run/a,b.sock]",
		`\@home`:                     "@home",
		`a\[1-2\]`:                   "a[1-2]",
		"kubectl:pod@ns":             "kubectl:pod@ns",
	} {
		set, err := ParseHostsWith(groups, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := strings.Join(set.Names(), " "); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestParseHostsRefuses(t *testing.T) {
	for text, part := range map[string]string{
		",a":                          "at byte 0: a name is missing",
		"a,":                          "at byte 2: a name is missing at the end",
		"a,,b":                        "at byte 2: a name is missing in front of ','",
		"a&&b":                        "a name is missing",
		"!a":                          "a name is missing",
		"a!!b":                        "a name is missing",
		"a[":                          "not closed",
		"a[1-":                        "not closed",
		"a]b":                         "not opened",
		"a[]":                         "neither a number nor a range",
		"a[x]":                        "neither a number nor a range",
		"a[1-2-3]":                    "neither a number nor a range",
		"a[-1]":                       "neither a number nor a range",
		"a[+1-2]":                     "neither a number nor a range",
		"a[1,]":                       "neither a number nor a range",
		"a[1/2]":                      "neither a number nor a range",
		"a[3-1]":                      "ends before it begins",
		"a[01-3]":                     "not the same length",
		"a[08-100]":                   "not the same length",
		"a[0-4/0]":                    "is 0",
		"a[1-9999999]":                "more than 1048576 names",
		"a[1-9999]b[1-9999]":          "more than 1048576 names",
		"a[0-999999999999999999]":     "more than 1048576 names",
		"a[0-9999999999999999999999]": "neither a number nor a range",
		`a\`:                          "behind the backslash",
		"@":                           "a name is missing",
	} {
		_, err := ParseHosts(text)
		if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, want one that matches ErrSyntax and says %q", text, err, part)
		}
	}
	p := parser{text: "a[1-60],b[1-60]", rest: "a[1-60],b[1-60]", left: 100}
	if _, err := p.parse(); !errors.Is(err, ErrSyntax) {
		t.Errorf("several members together are more than the bound: %v, want ErrSyntax", err)
	}
	for _, groups := range []Groups{nil, lists{}} {
		if _, err := ParseHostsWith(groups, "a,@web"); !errors.Is(err, ErrNoGroup) || !strings.Contains(err.Error(), "@web") {
			t.Errorf("a group that nobody knows: %v, want one that matches ErrNoGroup and names it", err)
		}
	}
	if _, err := ParseHosts(strings.Repeat("a", 1<<20) + "["); err == nil || len(err.Error()) > 300 {
		t.Error("the error about a long text is as long as the text")
	}
}

func TestFold(t *testing.T) {
	for names, want := range map[string]string{
		"":                                  "",
		"web1":                              "web1",
		"web3 web1 web2":                    "web[1-3]",
		"web1 web2 web4":                    "web[1-2,4]",
		"web01 web02 web10":                 "web[01-02,10]",
		"web8 web9 web10":                   "web[8-10]",
		"web08 web09 web10":                 "web[08-10]",
		"web08 web99 web100":                "web[08,99-100]",
		"web099 web100":                     "web[099-100]",
		"a0 a00 a000":                       "a[0,00,000]",
		"a1 a01 a2 a02":                     "a[1-2,01-02]",
		"web1.a web2.a web1.b":              "web[1-2].a,web1.b",
		"b1 a1 Z":                           "Z,a1,b1",
		"r1n1 r1n2 r2n1 r2n2":               "r[1-2]n[1-2]",
		"r1n1 r1n2 r2n1":                    "r1n[1-2],r2n1",
		"10.0.0.1 10.0.0.2 10.0.1.1":        "10.0.0.[1-2],10.0.1.1",
		"ssh:[fe80::1]:22 ssh:[fe80::2]:22": "ssh:[fe80::1]:[22],ssh:[fe80::2]:22",
		"ssh:b,w1 ssh:b,w2":                 `ssh:b\,w[1-2]`,
		"@home a[1] x!y":                    `\@home,a\[1\],x\!y`,
		"x9999999999999999999 x1":           "x1,x9999999999999999999",
		"a999999999999999998 a999999999999999999": "a[999999999999999998-999999999999999999]",
	} {
		set := NewHosts(strings.Fields(names)...)
		want = strings.ReplaceAll(want, "[22]", "22")
		if got := set.String(); got != want {
			t.Errorf("%q folds to %q, want %q", names, got, want)
		}
		if again, err := ParseHosts(set.String()); err != nil || !again.Equal(set) {
			t.Errorf("%q folds to %q, which is %q, %v", names, set, again.Names(), err)
		}
	}
}

func TestSetAlgebra(t *testing.T) {
	a, b := NewHosts("c", "a", "b", "a", ""), NewHosts("d", "b", "e")
	for _, c := range []struct {
		op        string
		got, want HostSet
	}{
		{"union", a.Union(b), NewHosts("c", "a", "b", "d", "e")},
		{"intersection", a.Intersect(b), NewHosts("b")},
		{"difference", a.Minus(b), NewHosts("c", "a")},
		{"symmetric difference", a.SymmetricDifference(b), NewHosts("c", "a", "d", "e")},
		{"union with nothing", HostSet{}.Union(HostSet{}), HostSet{}},
		{"nothing less something", HostSet{}.Minus(a), HostSet{}},
	} {
		if !slices.Equal(c.got.Names(), c.want.Names()) {
			t.Errorf("%s: %q, want %q in this order", c.op, c.got.Names(), c.want.Names())
		}
	}
	if want := []string{"c", "a", "b"}; !slices.Equal(a.Names(), want) || a.Len() != 3 || !a.Contains("a") || a.Contains("d") {
		t.Errorf("the operands were changed: %q, want %q", a.Names(), want)
	}
	if a.Equal(b) || !a.Equal(NewHosts("a", "b", "c")) {
		t.Error("Equal does not compare the names")
	}
}

func TestHostSetTravelsAsText(t *testing.T) {
	set := NewHosts("web1", "web2", "db,1")
	text, err := json.Marshal(map[string]HostSet{"hosts": set})
	if err != nil || string(text) != `{"hosts":"db\\,1,web[1-2]"}` {
		t.Fatalf("the JSON is %s, %v", text, err)
	}
	var back map[string]HostSet
	if err := json.Unmarshal(text, &back); err != nil || !back["hosts"].Equal(set) {
		t.Errorf("it came back as %q, %v", back["hosts"].Names(), err)
	}
}

// Random sets, of names that are alike and of such that are not, are read back from their
// folded form, and no text makes the parser panic.
func FuzzHosts(f *testing.F) {
	f.Add("web[01-30].example.com,db[1-3,7]&!db2")
	f.Add(`a\,b[1-2]c[007-011]^x y`)
	f.Add("ssh:[fe80::1]:22,[1-2]")
	f.Fuzz(func(t *testing.T, text string) {
		for _, set := range []HostSet{NewHosts(strings.Split(text, ";")...), parsed(text)} {
			if set.Len() > 10_000 {
				return
			}
			again, err := ParseHosts(set.String())
			if err != nil || !again.Equal(set) {
				t.Fatalf("%q folds to %q, which is %q, %v", set.Names(), set, again.Names(), err)
			}
		}
	})
}

func parsed(text string) HostSet {
	set, _ := ParseHosts(text)
	return set
}

func TestRandomSetsAreReadBack(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		var names []string
		for range r.IntN(30) {
			var name strings.Builder
			for range 1 + r.IntN(4) {
				name.WriteString([]string{"web", "-", ".", "a", "[", "]", ",", "@", ":", "/", "!", " ", "\\"}[r.IntN(13)])
				fmt.Fprintf(&name, "%0*d", r.IntN(4), r.IntN(12))
			}
			names = append(names, name.String())
		}
		set := NewHosts(names...)
		if again, err := ParseHosts(set.String()); err != nil || !again.Equal(set) {
			t.Fatalf("seed %d: %q folds to %q, which is %q, %v", seed, set.Names(), set, again.Names(), err)
		}
	}
}

// The time for a set grows as its size does, whether its names are alike or have nothing in
// common: thirty times the names take a little more than thirty times as long, and would take
// nine hundred times as long if something were quadratic. The bound is far from both.
func TestNothingIsQuadratic(t *testing.T) {
	kinds := map[string]func(i int) string{
		"alike":             func(i int) string { return fmt.Sprintf("web%05d.example.com", i) },
		"far apart":         func(i int) string { return fmt.Sprintf("web%d", 7*i) },
		"in three places":   func(i int) string { return fmt.Sprintf("r%dn%dp%d", i%10, i/10%100, i/1000) },
		"nothing in common": func(i int) string { return fmt.Sprintf("%x", uint64(i+1)*0x9e3779b97f4a7c15) },
		"words": func(i int) string {
			return strings.Map(func(r rune) rune { return r + 'a' - '0' }, fmt.Sprint(uint64(i+1)*0x9e3779b97f4a7c15))
		},
	}
	took := func(n, times int, name func(int) string) time.Duration {
		names := make([]string, n)
		for i := range names {
			names[i] = name(i)
		}
		best := time.Hour
		for range times {
			start := time.Now()
			set := NewHosts(names...)
			again, err := ParseHosts(set.String())
			if err != nil || again.Len() != set.Len() {
				t.Fatalf("%d of %d names came back, %v", again.Len(), set.Len(), err)
			}
			left, err := ParseHosts(strings.Join(names, ",") + "!" + strings.Join(names[1:], "!"))
			if err != nil || left.Len() != 1 {
				t.Fatalf("%d names are left, %v, want 1", left.Len(), err)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	for kind, name := range kinds {
		t.Run(kind, func(t *testing.T) {
			few, many := took(300, 5, name), took(9_000, 3, name)
			if many > 300*few {
				t.Errorf("9,000 names took %v, and 300 took %v", many, few)
			}
		})
	}
}

func BenchmarkFold(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		alike, unlike := make([]string, n), make([]string, n)
		for i := range n {
			alike[i] = fmt.Sprintf("web%06d.example.com", i)
			unlike[i] = fmt.Sprintf("%x", uint64(i+1)*0x9e3779b97f4a7c15)
		}
		for kind, set := range map[string]HostSet{"alike": NewHosts(alike...), "unlike": NewHosts(unlike...)} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				for b.Loop() {
					_ = set.String()
				}
			})
		}
	}
}
