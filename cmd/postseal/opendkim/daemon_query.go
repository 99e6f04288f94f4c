package opendkim

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config/dataset"
)

// queryTest is -Q: the first line of standard input is a data set, each of the
// others "KEY/FIELDS". The row's value is printed as so many fields, the last of
// which takes the rest. Letter case counts. The configuration is only checked.
func (c call) queryTest(o *daemonOptions) (exit int) {
	if _, err := o.load(true); err != nil {
		return c.end(&service.Error{Exit: exitConfig, Err: err})
	}
	lines := bufio.NewScanner(c.in)
	if !lines.Scan() {
		c.complain("no data set on standard input")
		return exitOSErr
	}
	name := lines.Text()
	set, err := dataset.Open(dataset.Text(name), dataset.Options{ExactCase: true})
	if err != nil {
		why := strerror(err)
		if errors.Is(err, dataset.ErrType) {
			why = "Unknown database type (" + err.Error() + ")"
		}
		c.complain(fmt.Sprintf("%s: dkimf_db_open(): %s", name, why))
		return exitSoftware
	}
	for lines.Scan() {
		query := lines.Text()
		key, count, ok := strings.Cut(query, "/")
		if query == "" {
			continue
		}
		n, _ := strconv.Atoi(count) // what is no number is 0
		if !ok || n < 0 {
			c.complain("invalid query '" + query + "'")
			return exitUsage
		}
		row, found := set.Get(key)
		if !found {
			fmt.Fprintf(c.out, "%s: dkimf_db_get(): record not found\n", c.name)
			continue
		}
		c.printFields(row.Value, n)
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
