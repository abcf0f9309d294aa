//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A row is one promise, or a figure for comparison without a promise.
type row struct {
	What     string
	Measured float64
	Unit     string // us, ms, /s, MB/s, bytes, MB

	// Limit is the physical limit, or the value of the usual tool, and LimitIs its name. Zero
	// for sizes.
	Limit   float64
	LimitIs string

	// The budget is Factor times Limit. For sizes, which are the same on every machine, it is
	// Size. There is none if both are zero.
	Factor, Size float64
	AtLeast      bool // the budget is a lower bound

	// Missing is the reason for which there is no number, and Note a remark on the number.
	// Failed means that there should be a number.
	Missing string
	Failed  bool
	Note    string
}

type verdict string

const (
	met        verdict = "met"
	missed     verdict = "missed"
	missedHalf verdict = "missed by more than half"
	noBudget   verdict = ""
	notTaken   verdict = "not measured"
	failed     verdict = "failed"
)

func (r row) budget() float64 {
	if r.Size != 0 {
		return r.Size
	}
	return r.Factor * r.Limit
}

func (r row) verdict() verdict {
	b := r.budget()
	over := r.Measured / b
	if r.AtLeast {
		over = b / r.Measured
	}
	switch {
	case r.Failed:
		return failed
	case r.Missing != "":
		return notTaken
	case b == 0:
		return noBudget
	case over <= 1:
		return met
	case over <= 1.5:
		return missed
	default:
		return missedHalf
	}
}

func (r row) budgetText() string {
	sign := "<="
	if r.AtLeast {
		sign = ">="
	}
	switch {
	case r.Size != 0:
		return sign + " " + figure(r.Size, r.Unit)
	case r.Factor != 0:
		return fmt.Sprintf("%s %.2f x", sign, r.Factor)
	default:
		return ""
	}
}

// figure formats a value with three or four significant digits.
func figure(v float64, unit string) string {
	digits := 0
	switch {
	case v < 10:
		digits = 2
	case v < 100:
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + unit
}

// table measures the groups one after the other and prints each when it is complete.
type table struct {
	groups []group
}

type group struct {
	name string
	rows func(context.Context) ([]row, error)
}

func (t *table) add(name string, rows func(context.Context) ([]row, error)) {
	t.groups = append(t.groups, group{name, rows})
}

// measure measures and prints all groups. It reports whether all budgets are met, or missed by at
// most half.
func (t *table) measure(ctx context.Context) bool {
	began := time.Now()
	warnBusy()
	count := map[verdict]int{}
	good := true
	for _, g := range t.groups {
		rows, err := g.rows(ctx)
		printGroup(g.name, rows)
		if err != nil {
			// A group that can't be measured may be slow without end, so it counts as
			// missed.
			fmt.Printf("%s: failed: %v\n", g.name, err)
			good = false
		}
		for _, r := range rows {
			count[r.verdict()]++
		}
	}
	fmt.Printf("\n%d met, %d missed, %d missed by more than half, %d not measured, %d failed; %.0f s\n",
		count[met], count[missed], count[missedHalf], count[notTaken], count[failed], time.Since(began).Seconds())
	return good && count[missedHalf] == 0 && count[failed] == 0
}

// warnBusy prints a warning if other work uses the machine. That lengthens a job of several
// processes more than a job of one.
func warnBusy() {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return
	}
	var load float64
	if _, err := fmt.Sscan(string(b), &load); err == nil && load > float64(runtime.NumCPU())/2 {
		fmt.Printf("The machine is busy: load %.1f on %d processors. The ratios are not to be relied on.\n", load, runtime.NumCPU())
	}
}

func printGroup(name string, rows []row) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tmeasured\tcompared with\t\tratio\tbudget\t\n", strings.ToUpper(name))
	for _, r := range rows {
		if r.Missing != "" {
			fmt.Fprintf(w, "%s\t-\t\t\t\t\t%s\n", r.What, r.verdict())
			continue
		}
		limit, ratio := "", ""
		if r.Limit != 0 {
			limit, ratio = figure(r.Limit, r.Unit), fmt.Sprintf("%.2f", r.Measured/r.Limit)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			r.What, figure(r.Measured, r.Unit), r.LimitIs, limit, ratio, r.budgetText(), r.verdict())
	}
	w.Flush()
	for line := range strings.Lines("\n" + b.String()) {
		fmt.Println(strings.TrimRight(line, " \n"))
	}
	// Notes come behind the table, where they make no column wider.
	for _, r := range rows {
		if note := r.Missing + r.Note; note != "" {
			fmt.Printf("  %s: %s\n", r.What, note)
		}
	}
}
