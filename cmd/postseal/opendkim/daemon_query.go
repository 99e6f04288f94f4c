package opendkim

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"github.com/postseal/postseal/config/dataset"
)

// queryTest is -Q: the first line of standard input is a data set, each of the
// others "KEY/FIELDS". The row's value is printed as so many fields, the last of
// which takes the rest. Letter case counts.
func (c call) queryTest() (exit int) {
	lines := bufio.NewScanner(c.in)
	if !lines.Scan() {
		c.complain("no data set on standard input")
		return exitOSErr
	}
	name := lines.Text()
	set, err := dataset.Open(dataset.Text(name), dataset.Options{ExactCase: true})
	if err != nil {
		c.complain(fmt.Sprintf("%s: dkimf_db_open(): %s", name, strerror(err)))
		return exitSoftware
	}
	for lines.Scan() {
		query := lines.Text()
		key, count, ok := strings.Cut(query, "/")
		if query == "" {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 8)
		if !ok || count != "" && err != nil {
			c.complain("invalid query '" + query + "'")
			return exitUsage
		}
		row, found := set.Get(key)
		if !found {
			c.complain("dkimf_db_get(): record not found")
			continue
		}
		c.printFields(row.Value, int(n))
	}
	fmt.Fprintln(c.out)
	return exitOK
}

// printFields prints the n fields of a row's value.
func (c call) printFields(value string, n int) {
	fields := strings.SplitN(value, ":", n)
	switch {
	case n == 0:
		return
	case len(fields) < n:
		c.complain(fmt.Sprintf("the row has %d field(s) and not %d", len(fields), n))
		return
	}
	for _, f := range fields {
		if f == "" && n > 1 {
			fmt.Fprintln(c.out, "<empty>")
		} else {
			fmt.Fprintf(c.out, "'%s'\n", f)
		}
	}
}
