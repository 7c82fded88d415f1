import {
  Anchor,
  type AnchorProps,
  Button,
  type ButtonProps,
  NavLink,
  type NavLinkProps,
} from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import { type AnchorHTMLAttributes, forwardRef } from "react";

type Rest<Props> = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof Props> & Omit<Props, "href">;

export const AnchorLink = createLink(
  forwardRef<HTMLAnchorElement, Rest<AnchorProps>>(function AnchorLink(props, ref) {
    return <Anchor ref={ref} {...props} />;
  }),
);

export const ButtonLink = createLink(
  forwardRef<HTMLAnchorElement, Rest<ButtonProps>>(function ButtonLink(props, ref) {
    return <Button ref={ref} component="a" {...props} />;
  }),
);

export const PlaceLink = createLink(
  forwardRef<HTMLAnchorElement, Rest<NavLinkProps>>(function PlaceLink(props, ref) {
    return <NavLink ref={ref} component="a" {...props} />;
  }),
);
