"""`ondevice-rec doctor`."""

import click

from ondevice.cli.common import Output, common, table


@click.command(epilog="\b\nExample:\n  ondevice-rec doctor\n")
@common
def doctor(*, out: Output) -> None:
    """Check this installation, and say how to fix what is wrong."""
    from ondevice.service.doctor import examine

    findings = examine(out.home)
    if out.as_json:
        out.document({"checks": [finding.as_dict() for finding in findings]})
    else:
        table([(f.status.upper(), f.id, f.evidence) for f in findings])
        for finding in findings:
            if finding.fix:
                click.echo(f"fix {finding.id}: {finding.fix}")
    if any(finding.status == "fail" for finding in findings):
        raise click.exceptions.Exit(1)
