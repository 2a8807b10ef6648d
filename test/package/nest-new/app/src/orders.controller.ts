import { Body, Controller, Get, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBearerAuth } from '@nestjs/swagger';
import { Exclude } from 'class-transformer';
import { IsOptional, IsString } from 'class-validator';
import { ClsService } from 'nestjs-cls';
import { Feed, FeedService } from 'nestjs-feed';
import { interval, map, NEVER, startWith } from 'rxjs';
import { Public } from './jwt.js';

export class ChangeDto {
  @IsString()
  status!: string;
}

export class StepsDto {
  @IsOptional()
  @IsString()
  note?: string;
}

export class Order {
  @Exclude()
  readonly secret = 'of the shop';

  constructor(readonly id: string) {}
}

@ApiBearerAuth()
@Controller({ path: 'orders', version: '1' })
export class OrdersController {
  constructor(
    private readonly feeds: FeedService,
    private readonly cls: ClsService,
  ) {}

  @Get(':id')
  get(@Param('id') id: string) {
    return new Order(id);
  }

  @Post(':id')
  async change(@Param('id') id: string, @Body() { status }: ChangeDto) {
    const { data } = await this.feeds.publish(`orders/${id}`, { status, request: typeof this.cls.getId() });
    return data;
  }

  /** What is published. */
  @Feed(':id/changes', { feed: ({ params }) => `orders/${params.id}` })
  changes(@Query() _query: StepsDto) {}

  @Post(':id/placed')
  async place(@Param('id') id: string) {
    await this.feeds.publish(`orders/${id}`, new Order(id));
  }

  /** Instances of a class. */
  @Feed(':id/states')
  states(@Param('id') id: string) {
    return NEVER.pipe(startWith(new Order(id)));
  }

  /** A source. */
  @Public()
  @Feed(':id/steps')
  steps(@Param('id') id: string) {
    return interval(50).pipe(map((n) => ({ order: id, step: n + 1 })));
  }

  @Get(':id/owner')
  owner(@Req() { user }: { user: { id: string } }) {
    return user;
  }
}
