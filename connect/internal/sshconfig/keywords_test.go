//go:build unix

package sshconfig

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Every keyword has a place: in the code, and in the table that people read.
func TestEveryKeywordOfSSHConfigHasAPlace(t *testing.T) {
	documented := documentedKeywords(t)
	for name, use := range keywords {
		if documented[name] != use {
			t.Errorf("docs/ssh_config.md has %q as %v, the code as %v", name, documented[name], use)
		}
	}
	for name := range documented {
		if keywords[name] == 0 {
			t.Errorf("docs/ssh_config.md has %q, the code does not", name)
		}
	}

	f, err := os.Open("testdata/ssh_config_keywords")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		if name := strings.ToLower(scan.Text()); name != "" && name[0] != '#' && keywords[name] == 0 {
			t.Errorf("ssh_config(5) has %s, the table does not", scan.Text())
		}
	}

	out, err := exec.Command("ssh", "-G", "-F", "none", "web").Output()
	if err != nil {
		t.Fatal("ssh -G, which this test compares with: ", err)
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(line)), " ")
		if keywords[canonicalKeyword(name)] == 0 {
			t.Errorf("ssh -G prints %s, the table does not have it", name)
		}
	}
	for old, name := range keywordAliases {
		if keywords[name] == 0 {
			t.Errorf("%s stands for %s, which is no keyword", old, name)
		}
	}
	for _, name := range slices.Concat(ownDefaults, lineKeywords, gatheredKeywords) {
		if keywords[name] == 0 {
			t.Errorf("%s is no keyword", name)
		}
	}
}

// documentedKeywords reads the table. Two uses of the code are one to a reader.
func documentedKeywords(t *testing.T) map[string]keywordUse {
	text, err := os.ReadFile("../../../docs/ssh_config.md")
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string]keywordUse{"honoured": useAsked, "hint": useHint, "no meaning": useNone, "old": useOld}
	found := map[string]keywordUse{}
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(line, "|")
		if len(columns) < 4 || uses[strings.TrimSpace(columns[2])] == 0 {
			continue
		}
		for name := range strings.SplitSeq(strings.ToLower(columns[1]), ",") {
			name = strings.TrimSpace(name)
			if found[name] != 0 {
				t.Errorf("docs/ssh_config.md has %s twice", name)
			}
			if found[name] = uses[strings.TrimSpace(columns[2])]; found[name] == useAsked && keywords[name] == usePlain {
				found[name] = usePlain
			}
		}
	}
	return found
}
