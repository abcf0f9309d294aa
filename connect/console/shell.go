package console

import "strings"

// The first stage is typed into the far shell in two lines. The first line is short and has
// single quotes only, so that any shell understands it. It makes the terminal a pipe and lets
// sh read the second line, which no line editor changes, nobody echoes, and no limit cuts.
//
// The words for which we wait are in two parts in both lines, so that an echo does not count.

// idleTenths is the silence, in tenths of a second, after which a far side gives up that
// waits for a plan or an image: VTIME of termios(3), with VMIN 0. A child reads without
// waiting, so it does not hold for that.
const idleTenths = "100"

// The far shell prints these behind the word.
const (
	saysShell = ".shell" // a shell is there
	saysReady = ".ready" // the second line may come
	saysNoTTY = ".nostty"
)

// split returns a word in a form for command lines, in which a search does not find it.
func split(word, says string) string {
	return word[:len(word)/2] + `""` + word[len(word)/2:] + says
}

// probeLine makes a shell print the word. The space in front keeps it out of the history of
// most shells.
func probeLine(word string) string { return " echo " + split(word, saysShell) + "\n" }

// startLine is the first line. A shell to which we have logged in is replaced and writes no
// history; shells without these commands complain and go on. A hang-up of the line must not
// keep sh from executing the rest of the second line.
func startLine(word string, own bool) string {
	line := `/bin/sh -c 's=$(stty -g)&&stty raw -echo min 0 time ` + idleTenths + `||{ echo ` + split(word, saysNoTTY) +
		`;exit;};trap : 1 2 15;echo ` + split(word, saysReady) + `;read -r x;eval "$x"'` + "\n"
	if own {
		return " unset HISTFILE;exec " + line
	}
	return " " + line
}

// stageLine is the second line. It lowers the level of kernel messages, runs the first stage,
// and restores everything. It keeps the first stage from changing the terminal, and ends its
// wait for a plan if a line has only the word. Standard error is printed behind the end, since
// it would break the link before.
//
// When the child has ended, bytes that are still on their way to it are read and dropped, until
// the line has been silent for three tenths of a second.
func stageLine(script string, end []byte, quiet bool) string {
	word := string(end[2:])
	mark := `\207\033` + word // as a format of printf(1) spells it
	var b strings.Builder
	b.WriteString(`k=;p=/proc/sys/kernel/printk;`)
	if quiet {
		b.WriteString(`[ -w $p ]&&read -r k z <$p&&echo 1 2>/dev/null >$p;`)
	}
	b.WriteString(`{ w=$( (stty(){ :;};read(){ command read "$@"&&case $p in ` + word + `)exit;esac;};` + script +
		`) 2>&1 >&4 4>&-);x=$?;} 4>&1;`)
	b.WriteString(`exec 2>/dev/null;[ "$k" ]&&echo $k >$p;`)
	b.WriteString(`stty min 0 time 3;while read -r x2;do :;done;stty "$s";`)
	b.WriteString(`printf "` + mark + `%s %.2000s` + mark + `" "$x" "$w"` + "\n")
	return b.String()
}
